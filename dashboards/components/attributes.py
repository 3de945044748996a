"""HTML attributes that Dash takes only as wildcards: `data-...` and `aria-...`."""

from __future__ import annotations

from typing import Any


def extra(**named: str) -> dict[str, Any]:
    """`extra(data_exact="1.5")` is `{"data-exact": "1.5"}`, to be spread into a component."""
    return {name.replace("_", "-"): value for name, value in named.items()}
