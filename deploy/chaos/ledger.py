"""What the generator sent and what was acknowledged, with what it costs by its own arithmetic; and the verdict.

Pure but for a lock. It knows nothing of the gateway, the collector or the store: a rule of theirs that is wrong is not
wrong here too.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal

INPUT_USD = Decimal("0.000000123456")
"""Of one token, in USD; the card that the store is given says the same per million."""
OUTPUT_USD = Decimal("0.000000987654")
EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class SpanSent:
    """One attempt as it was sent."""

    ids: str
    """Trace id and span id in hexadecimal, joined: 48 digits."""
    input_tokens: int
    output_tokens: int

    @property
    def cost_usd(self) -> Decimal:
        """What it costs."""
        return add((INPUT_USD * self.input_tokens, OUTPUT_USD * self.output_tokens))


class Ledger:
    """Every span that was sent. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cost: dict[str, Decimal] = {}
        self._acknowledged: set[str] = set()

    def sent(self, spans: Iterable[SpanSent]) -> None:
        """They leave now, perhaps not for the first time."""
        with self._lock:
            self._cost.update((span.ids, span.cost_usd) for span in spans)

    def acknowledged(self, spans: Iterable[SpanSent]) -> None:
        """The sender was told that they are safe."""
        with self._lock:
            self._acknowledged.update(span.ids for span in spans)

    @property
    def acknowledged_spans(self) -> int:
        """How many were acknowledged."""
        return len(self._acknowledged)

    def judge(self, landed: "Landed") -> "Verdict":
        """Hold what landed against what was sent."""
        with self._lock:
            here = landed.spans.keys()
            expected = self._acknowledged | (here & self._cost.keys())
            return Verdict(
                acknowledged=len(self._acknowledged),
                stored=sum(landed.spans.values()),
                duplicates=sum(landed.spans.values()) - len(landed.spans),
                missing=len(self._acknowledged - here),
                strangers=len(here - self._cost.keys()),
                expected_usd=add(self._cost[ids] for ids in expected),
                stored_usd=landed.cost_usd,
            )


@dataclass(frozen=True, slots=True)
class Landed:
    """What SQL says of one tenant: how often each span is there, and what all of them cost, NULL prices not counted."""

    spans: Mapping[str, int]
    cost_usd: Decimal

    @staticmethod
    def of(ids: Iterable[str], cost_usd: Decimal) -> "Landed":
        """From one id a row."""
        return Landed(Counter(ids), cost_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How ledger and store stand to each other."""

    acknowledged: int
    stored: int
    """Rows, duplicates among them."""
    duplicates: int
    missing: int
    """Acknowledged and not there."""
    strangers: int
    """There and never sent."""
    expected_usd: Decimal
    stored_usd: Decimal

    @property
    def sums_equal(self) -> bool:
        """To the last digit."""
        return self.expected_usd == self.stored_usd

    @property
    def holds(self) -> bool:
        """Whether Tollway kept its word; nothing sent proves nothing."""
        return self.acknowledged > 0 and self.sums_equal and not (self.duplicates or self.missing or self.strangers)


def add(amounts: Iterable[Decimal]) -> Decimal:
    """Their exact sum."""
    total = Decimal(0)
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
