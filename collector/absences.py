"""Who does not answer is left alone for a while, longer each time: the whole store, or of a cluster one shard."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from collector.sharding import ONE_SERVER


@dataclass(slots=True)
class Absences:
    """Those that are left alone, by shard; ONE_SERVER stands for the whole store."""

    pause_s: Callable[[int], float]
    """How long, after that many failures in a row."""
    _until: dict[str, float] = field(default_factory=dict)
    _failures: Counter[str] = field(default_factory=Counter)

    def leave(self, shard: str, now: float) -> float:
        """Leave it alone from `now` on; returns for how many seconds."""
        self._failures[shard] += 1
        pause_s = self.pause_s(self._failures[shard])
        self._until[shard] = now + pause_s
        return pause_s

    def met(self, shard: str) -> None:
        """It answered."""
        for one in {shard, ONE_SERVER}:
            self._until.pop(one, None)
            del self._failures[one]

    def missing(self) -> frozenset[str]:
        """Those that did not answer when they were asked last."""
        return frozenset(self._until)

    def away(self, now: float) -> dict[str, float]:
        """Those that are not to be asked now, and for how many seconds more."""
        return {shard: until - now for shard, until in self._until.items() if now < until}
