"""Who is gathered with whom, and until when. Plain state, no clock, no loop.

A batch is opened by its first member and closed `window_s` later, or as soon as it holds `tokens_max` tokens or
`inputs_max` inputs. A member that would make it larger than that closes it and opens the next one, so only a single
member can be larger by itself. No more than `members_max` wait in all batches together: one more closes the oldest.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Who = TypeVar("Who")
"""A request that is gathered; hashable, each its own."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much is gathered."""

    window_s: float
    tokens_max: int
    """Estimated prompt tokens of one batch; 0 = no bound."""
    inputs_max: int
    members_max: int
    """Who may wait, all batches together; at least 1."""


@dataclass(slots=True)
class Batch(Generic[Who]):
    """Who is gathered under one key, in the order they came."""

    key: Hashable
    due: float
    members: dict[Who, tuple[int, int]] = field(default_factory=dict)
    """Each with its tokens and inputs."""
    tokens: int = 0
    inputs: int = 0


class Gathering(Generic[Who]):
    """The batches of one tier that are open. Every `now` is of one clock that never goes back."""

    def __init__(self) -> None:
        self._open: dict[Hashable, Batch[Who]] = {}
        self._batch_of: dict[Who, Batch[Who]] = {}

    def __len__(self) -> int:
        return len(self._batch_of)

    def add(self, who: Who, key: Hashable, *, tokens: int, inputs: int, limits: Limits, now: float) -> list[Batch[Who]]:
        """Gather it. Returns the batches that this closed, oldest first; its own may be among them."""
        closed: list[Batch[Who]] = []
        while self._open and len(self) >= limits.members_max:
            closed.append(self._close(min(self._open.values(), key=lambda batch: batch.due)))
        batch = self._open.get(key)
        if batch is not None and _over(limits, batch.tokens + tokens, batch.inputs + inputs):
            closed.append(self._close(batch))
            batch = None
        if batch is None:
            batch = self._open[key] = Batch(key, now + limits.window_s)
        batch.members[who] = (tokens, inputs)
        batch.tokens += tokens
        batch.inputs += inputs
        self._batch_of[who] = batch
        if _full(limits, batch):
            closed.append(self._close(batch))
        return closed

    def leave(self, who: Who) -> bool:
        """Gather it no longer; False if it was not."""
        batch = self._batch_of.pop(who, None)
        if batch is None:
            return False
        tokens, inputs = batch.members.pop(who)
        batch.tokens -= tokens
        batch.inputs -= inputs
        if not batch.members:
            del self._open[batch.key]
        return True

    def due(self, now: float) -> list[Batch[Who]]:
        """Close, and return, the batches whose window has ended."""
        return [self._close(batch) for batch in list(self._open.values()) if batch.due <= now]

    def close(self) -> list[Batch[Who]]:
        """Close, and return, all of them."""
        return [self._close(batch) for batch in list(self._open.values())]

    def next_due(self) -> float | None:
        """When the first window ends; None when none is open."""
        return min((batch.due for batch in self._open.values()), default=None)

    def _close(self, batch: Batch[Who]) -> Batch[Who]:
        del self._open[batch.key]
        for who in batch.members:
            del self._batch_of[who]
        return batch


def _over(limits: Limits, tokens: int, inputs: int) -> bool:
    return inputs > limits.inputs_max or (0 < limits.tokens_max < tokens)


def _full(limits: Limits, batch: Batch[Who]) -> bool:
    return batch.inputs >= limits.inputs_max or (0 < limits.tokens_max <= batch.tokens)
