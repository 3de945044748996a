"""Rollups: sums of attempts by hour, UTC day and month, rebuilt from the facts and swapped in by whole partitions.

They are derived, never incremented, so no retry, late span or crash can make them drift: `plan` says what of them is
not what the facts say, `rebuild` makes it so, and `sources` says which of them, and which facts, answer for a window.
"""

from analytics.rollups.rebuild import Rebuilt, catch_up
from analytics.rollups.sources import Grain, Reach, Slice, areach, reach, slices

__all__ = ["Grain", "Reach", "Rebuilt", "Slice", "areach", "catch_up", "reach", "slices"]
