"""Rollups: sums of attempts by hour, UTC day and month, rebuilt from the facts and swapped in by whole partitions.

They are derived, never incremented, so no retry, late span or crash can make them drift: `plan` says what of them is
not what the facts say, `rebuild` makes it so, `sources` says which of them, and which facts, answer for a window, and
`asking` asks them.
"""

from analytics.rollups.asking import Question, aanswers, answers
from analytics.rollups.rebuild import Rebuilt, catch_up
from analytics.rollups.sources import Grain, Reach, Slice, reach, slices

__all__ = ["Grain", "Question", "Reach", "Rebuilt", "Slice", "aanswers", "answers", "catch_up", "reach", "slices"]
