"""One session's fuse: what it did in its window, and whether it may go on. Plain state, no clock, no loop.

An agent that loops makes the same tool call over and over, or spends without end. The fuse counts requests, tokens,
dollars and equal tool calls of the last `window_s` seconds and says which bound has been reached. Counts leave the
window in slices, at most a sixtieth of it late, so a session's size does not grow with its traffic.

A tool call is learnt twice: from the answer that makes it, and from the history that the agent sends back. The fuse
remembers how many equal calls it knows of, so a history adds only what is in it beyond that. Of a session never seen
before only the unbroken run at the history's end counts, since nobody can say when the rest was made.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

SLICES = 60
"""A window is counted in so many parts."""

HISTORY_MAX = 128
"""Of a request's history the last tool calls that are looked at; known calls are kept for many times as many."""

TOOLS_MAX = 1024
"""Different tool calls that one session's fuse knows; the one made longest ago is forgotten first."""


class Bound(StrEnum):
    """What tripped; the value is the key in the tier's `fuse`."""

    SAME_TOOL_CALLS = "same_tool_calls"
    CALLS = "calls"
    TOKENS = "tokens"
    USD = "usd"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a session may do in `window_s` seconds; 0 or None = no bound of that kind."""

    window_s: float
    same_tool_calls: int = 0
    calls: int = 0
    tokens: int = 0
    usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call as far as it can equal another: the tool's name, and a digest of its canonical arguments."""

    name: str
    arguments: bytes


@dataclass(frozen=True, slots=True)
class Tripped:
    """The bound that was reached, by how much, and the seconds until enough of it has left the window."""

    bound: Bound
    count: int | Decimal
    resets_s: float
    tool: str = ""


@dataclass(slots=True)
class _Slice:
    """What happened in one sixtieth of the window."""

    number: int
    calls: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)


@dataclass(slots=True)
class _Known:
    """Equal tool calls: all that the fuse knows of, and those in the window by slice."""

    total: int = 0
    recent: deque[tuple[int, int]] = field(default_factory=deque)


class SessionFuse:
    """The window of one session. Every `now` is of one steady clock, in seconds, and never goes back."""

    __slots__ = ("_known", "_seen", "_slices", "_width_s", "bounds")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self._width_s = bounds.window_s / SLICES
        self._slices: deque[_Slice] = deque()
        self._known: OrderedDict[ToolCall, _Known] = OrderedDict()
        self._seen = False

    @property
    def size(self) -> int:
        """How many different tool calls it remembers."""
        return len(self._known)

    def admit(self, history: Sequence[ToolCall], now: float) -> Tripped | None:
        """Whether a request with that history may go on; one that may is counted."""
        number = self._number(now)
        self._expire(number)
        self._learn(history[-HISTORY_MAX:], number)
        tripped = self._tripped(now)
        if tripped is None:
            self._slice(number).calls += 1
        return tripped

    def answered(self, calls: Iterable[ToolCall], now: float) -> None:
        """An answer made these tool calls."""
        self._seen = True
        number = self._number(now)
        for call in calls:
            self._note(call, 1, number)
        self._forget()

    def spent(self, tokens: int, usd: Decimal, now: float) -> None:
        """An attempt used so much."""
        current = self._slice(self._number(now))
        current.tokens += tokens
        current.usd += usd

    def _learn(self, history: Sequence[ToolCall], number: int) -> None:
        if not self._seen:
            self._seen = True
            run = _run_at_the_end(history)
            for call, count in Counter(history).items():
                unheard = min(run, count) if call == history[-1] else 0
                known = self._note(call, unheard, number)
                known.total = max(known.total, count)
        else:
            for call, count in Counter(history).items():
                heard = self._known.get(call)
                self._note(call, max(0, count - (heard.total if heard else 0)), number)
        self._forget()

    def _note(self, call: ToolCall, count: int, number: int) -> _Known:
        known = self._known.get(call)
        if known is None:
            known = self._known[call] = _Known()
        self._known.move_to_end(call)
        if count:
            known.total += count
            if known.recent and known.recent[-1][0] == number:
                count += known.recent.pop()[1]
            known.recent.append((number, count))
        return known

    def _forget(self) -> None:
        while len(self._known) > TOOLS_MAX:
            self._known.popitem(last=False)

    def _tripped(self, now: float) -> Tripped | None:
        bounds, slices = self.bounds, self._slices
        if bounds.same_tool_calls and (tripped := self._looping(bounds.same_tool_calls, now)):
            return tripped
        if bounds.calls and (calls := sum(part.calls for part in slices)) >= bounds.calls:
            return Tripped(Bound.CALLS, calls, self._resets_s([(s.number, s.calls) for s in slices], bounds.calls, now))
        if bounds.tokens and (tokens := sum(part.tokens for part in slices)) >= bounds.tokens:
            parts = [(s.number, s.tokens) for s in slices]
            return Tripped(Bound.TOKENS, tokens, self._resets_s(parts, bounds.tokens, now))
        if bounds.usd and (usd := sum((part.usd for part in slices), Decimal(0))) >= bounds.usd:
            return Tripped(Bound.USD, usd, self._resets_s([(s.number, s.usd) for s in slices], bounds.usd, now))
        return None

    def _looping(self, bound: int, now: float) -> Tripped | None:
        for call, known in reversed(self._known.items()):
            count = sum(part for _, part in known.recent)
            if count >= bound:
                resets_s = self._resets_s(known.recent, bound, now)
                return Tripped(Bound.SAME_TOOL_CALLS, count, resets_s, call.name)
        return None

    def _resets_s(self, parts: Iterable[tuple[int, int | Decimal]], bound: int | Decimal, now: float) -> float:
        """Until the window holds less than `bound`."""
        listed = list(parts)
        left: int | Decimal = sum(amount for _, amount in listed)
        for number, amount in listed:
            left -= amount
            if left < bound:
                return (number + SLICES + 1) * self._width_s - now
        return self.bounds.window_s

    def _expire(self, number: int) -> None:
        oldest = number - SLICES
        while self._slices and self._slices[0].number < oldest:
            self._slices.popleft()
        for known in self._known.values():
            while known.recent and known.recent[0][0] < oldest:
                known.recent.popleft()

    def _slice(self, number: int) -> _Slice:
        if not self._slices or self._slices[-1].number != number:
            self._slices.append(_Slice(number))
        return self._slices[-1]

    def _number(self, now: float) -> int:
        return int(now // self._width_s)


def _run_at_the_end(history: Sequence[ToolCall]) -> int:
    """How many equal calls end the history, with no other between them."""
    run = 0
    for call in reversed(history):
        if call != history[-1]:
            break
        run += 1
    return run
