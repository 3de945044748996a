"""What a run of the demo came to: the JSON object of `tollway demo --json`, and the same in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from deploy.demo.traffic.replay import Tally
from deploy.demo.witness import UNEXPLAINED
from gateway.domain.money import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The figures of the current UTC month in the demo's data folder; `tally` alone is of this run."""

    month: str
    data: Path
    tally: Tally
    killed: Sequence[str]
    attempts: int
    attempts_by_outcome: Mapping[str, int]
    fallbacks: int
    spans_landed: int
    duplicates: int
    landed_s: float
    metered: Decimal
    invoiced: Decimal
    variance_by_class: Mapping[str, Decimal]
    expected_by_class: Mapping[str, Decimal]
    unexplained: Decimal
    surcharge: Decimal
    """What the vendors hid in their invoices, by their own word."""
    books: Sequence[str]
    """What does not match between the vendors' ledgers and the attempts; empty is the promise."""
    invoices: Sequence[Path]
    files: Sequence[Path]
    urls: Mapping[str, str]

    @property
    def as_expected(self) -> bool:
        """Whether every promise that the demo checks was kept."""
        return not self.books and not self.duplicates and dict(self.variance_by_class) == dict(self.expected_by_class)

    def plain(self) -> dict[str, Any]:
        """Values that JSON has; money as decimal strings in plain notation, normalised."""
        return {
            "month": self.month,
            "requests": self.tally.requests,
            "ok": self.tally.ok,
            "cancelled": self.tally.cancelled,
            "errors": dict(sorted(self.tally.errors.items())),
            "waited": self.tally.waited,
            "traffic_seconds": round(self.tally.wall_s, 3),
            "killed": list(self.killed),
            "attempts": self.attempts,
            "attempts_by_outcome": dict(sorted(self.attempts_by_outcome.items())),
            "fallbacks": self.fallbacks,
            "spans_landed": self.spans_landed,
            "duplicates": self.duplicates,
            "landed_seconds": round(self.landed_s, 3),
            "metered_usd": plain(self.metered),
            "invoiced_usd": plain(self.invoiced),
            "variance_by_class": {name: plain(amount) for name, amount in self.variance_by_class.items()},
            "expected_by_class": {name: plain(amount) for name, amount in self.expected_by_class.items()},
            "unexplained_usd": plain(self.unexplained),
            "surcharge_usd": plain(self.surcharge),
            "books": list(self.books),
            "invoices": [str(path) for path in self.invoices],
            "files": [str(path) for path in self.files],
            "data": str(self.data),
            "urls": dict(self.urls),
        }

    def words(self) -> list[str]:
        """A summary for a person, a line each."""
        tally = self.tally
        errors = ", ".join(f"{count} {code}" for code, count in sorted(tally.errors.items())) or "none"
        outcomes = ", ".join(f"{count} {name}" for name, count in sorted(self.attempts_by_outcome.items()))
        both = [(name, self.variance_by_class[name], self.expected_by_class[name]) for name in self.expected_by_class]
        rows = [row for row in both if row[1] or row[2] or row[0] == UNEXPLAINED]
        width = max(len(plain(amount)) for amount in (self.metered, self.invoiced, *(row[1] for row in rows)))
        return [
            f"requests    {tally.requests}: {tally.ok} ok, {tally.cancelled} hung up; errors: {errors}",
            f"attempts    {self.attempts} in {self.month}: {outcomes}; {self.fallbacks} were fallbacks",
            f"landed      {self.spans_landed} spans, {self.duplicates} twice, {self.landed_s:.1f} s after the traffic",
            "",
            f"  metered            {plain(self.metered):>{width}} USD",
            *(f"  {name:<18} {plain(ours):>{width}}{_judged(ours, theirs)}" for name, ours, theirs in rows),
            f"  invoiced           {plain(self.invoiced):>{width}} USD",
            "",
            *(self.books or ["every request in the vendors' ledgers has exactly one attempt, and the charges agree"]),
            *(f"wrote       {path}" for path in self.files),
            *(f"{name:<11} {url}" for name, url in self.urls.items()),
        ]


def _judged(ours: Decimal, theirs: Decimal) -> str:
    return "" if ours == theirs else f"   the vendors' own ledgers say {plain(theirs)}"
