"""What a replay does, decided: which batches, under which names, in which portions. Pure: no disk, no clock.

A batch that lands again gets a name of its own, the old one with `~` and a number behind it, never used before: so the
rows of both can be told apart, and the old ones go only once the new ones were counted.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from collector.batches import Batch
from collector.planning import DAY_MS

PORTION_ROWS = 100_000
PORTION_BATCHES = 64
"""What is in the store twice at once, for as long as it takes to count the new rows and delete the old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which batches to land again; nothing said means all that are kept."""

    since_ms: int | None = None
    """Received at or after this; Unix milliseconds."""
    until_ms: int | None = None
    """Received before this."""
    origins: frozenset[str] = frozenset()
    """These only."""

    def takes(self, batch: Batch) -> bool:
        """Whether that batch is among them."""
        return (
            (self.since_ms is None or batch.received_ms >= self.since_ms)
            and (self.until_ms is None or batch.received_ms < self.until_ms)
            and (not self.origins or batch.batch_id in self.origins)
        )


@dataclass(frozen=True, slots=True)
class Swap:
    """Rows in the store under `old`, which give way to those of `batch`, under its own name."""

    old: str
    batch: Batch
    kept: str
    """The file name of the kept segment that has its bytes."""
    mapping: str
    """What names the mapping that makes the new rows."""
    attempt: int = 1

    @property
    def origin(self) -> str:
        """The name it landed under at first."""
        return origin(self.old)

    @property
    def day(self) -> int:
        """Of its partition, since 1970."""
        return self.batch.received_ms // DAY_MS


def origin(batch_id: str) -> str:
    """The name that a batch landed under at first."""
    return batch_id.partition("~")[0]


def generation(batch_id: str) -> int:
    """How often a batch of that name was landed again."""
    return int(batch_id.partition("~")[2] or 0)


def swap(batch: Batch, kept: str, mapping: str, *, current: Mapping[str, str], used: Mapping[str, int]) -> Swap:
    """The swap of a kept batch. `current` is the name its rows have now, where that is another than its own, and
    `used` the highest number that was tried, both by its own name."""
    old = current.get(batch.batch_id, batch.batch_id)
    number = max(generation(old), used.get(batch.batch_id, 0)) + 1
    return Swap(old, replace(batch, batch_id=f"{batch.batch_id}~{number}"), kept, mapping)


def portions(swaps: Iterable[Swap]) -> Iterator[list[Swap]]:
    """What is swapped together: batches of one day's partition, and of one kept segment as far as that goes."""
    portion: list[Swap] = []
    rows = 0
    for one in sorted(swaps, key=lambda swap: (swap.day, swap.batch.segment, swap.batch.batch_id)):
        full = rows + one.batch.rows > PORTION_ROWS or len(portion) >= PORTION_BATCHES
        if portion and (full or one.day != portion[0].day):
            yield portion
            portion, rows = [], 0
        portion.append(one)
        rows += one.batch.rows
    if portion:
        yield portion
