"""A session's fuse: by every short history of events against the plainest count of the same, and by its edges."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from gateway.limits.fuse import HISTORY_MAX, SLICES, TOOLS_MAX, Bound, Bounds, SessionFuse, ToolCall, Tripped

A, B = ToolCall("search", b"a"), ToolCall("read", b"b")
WINDOW_S = 60.0
BOUNDS = Bounds(WINDOW_S, same_tool_calls=2, calls=3, tokens=100, usd=Decimal(1))
NOW = 1000.0
EVENTS = ("ask", "ask with A", "ask with AA", "answer A", "answer B", "spend 60", "wait half", "wait past")
LENGTH = 5


class Plain:
    """The same promises, kept by lists of everything that happened."""

    def __init__(self) -> None:
        self.calls: list[float] = []
        self.tokens: list[tuple[float, int]] = []
        self.tools: list[tuple[float, ToolCall]] = []

    def admit(self, history: list[ToolCall], now: float) -> Bound | None:
        for call in {A, B}:
            told = history.count(call)
            known = sum(1 for _, made in self.tools if made == call)
            self.tools += [(now, call)] * (told - known)
        live = [made for at, made in self.tools if now - at < WINDOW_S]
        if max(live.count(A), live.count(B)) >= 2:
            return Bound.SAME_TOOL_CALLS
        if len([at for at in self.calls if now - at < WINDOW_S]) >= 3:
            return Bound.CALLS
        if sum(count for at, count in self.tokens if now - at < WINDOW_S) >= 100:
            return Bound.TOKENS
        self.calls.append(now)
        return None


def histories(length: int) -> Iterator[tuple[str, ...]]:
    """Every sequence of events of that length that ends by asking."""
    if length == 0:
        yield ("ask",)
        return
    for rest in histories(length - 1):
        for event in EVENTS:
            yield (event, *rest)


def test_every_short_history_is_judged_as_the_plain_count_judges_it() -> None:
    for history in histories(LENGTH):
        fuse, plain, now = SessionFuse(BOUNDS), Plain(), NOW
        for event in history:
            word = event.split()[0]
            if word == "ask":
                calls = [A] * event.count("A")
                tripped = fuse.admit(calls, now)
                assert (tripped.bound if tripped else None) == plain.admit(calls, now), history
            elif word == "answer":
                call = A if event.endswith("A") else B
                fuse.answered([call], now)
                plain.tools.append((now, call))
            elif word == "spend":
                fuse.spent(60, Decimal(0), now)
                plain.tokens.append((now, 60))
            else:
                now += 0.51 * WINDOW_S if event == "wait half" else WINDOW_S + WINDOW_S / SLICES


@pytest.mark.parametrize(
    ("bounds", "tripped"),
    [
        (Bounds(60, same_tool_calls=1), Tripped(Bound.SAME_TOOL_CALLS, 1, 41.0, "search")),
        (Bounds(60, calls=1), Tripped(Bound.CALLS, 1, 41.0)),
        (Bounds(60, tokens=50), Tripped(Bound.TOKENS, 50, 41.0)),
        (Bounds(60, usd=Decimal("0.5")), Tripped(Bound.USD, Decimal("0.5"), 41.0)),
    ],
    ids=lambda value: str(value.bound) if isinstance(value, Tripped) else "",
)
def test_a_refusal_names_the_bound_the_count_and_when_it_ends(bounds: Bounds, tripped: Tripped) -> None:
    fuse = SessionFuse(bounds)
    assert fuse.admit([], NOW) is None
    fuse.answered([A], NOW)
    fuse.spent(50, Decimal("0.5"), NOW)
    assert fuse.admit([], NOW + 20) == tripped
    assert fuse.admit([], NOW + 20 + 40.9) is not None
    assert fuse.admit([], NOW + 20 + 41.0) is None


def test_the_end_that_is_told_is_that_of_the_oldest_counts_only() -> None:
    fuse = SessionFuse(Bounds(60, tokens=100))
    fuse.spent(60, Decimal(0), NOW)
    fuse.spent(60, Decimal(0), NOW + 30)
    tripped = fuse.admit([], NOW + 30)
    assert tripped is not None
    assert tripped.resets_s == 31.0


def test_no_bound_never_trips() -> None:
    fuse = SessionFuse(Bounds(60))
    fuse.spent(10**9, Decimal(10**6), NOW)
    fuse.answered([A] * 99, NOW)
    assert [fuse.admit([A] * 99, NOW) for _ in range(9)] == [None] * 9


def test_an_answer_that_comes_back_in_the_history_is_counted_once() -> None:
    fuse = SessionFuse(Bounds(60, same_tool_calls=2))
    assert fuse.admit([], NOW) is None
    fuse.answered([A], NOW)
    assert [fuse.admit([A], NOW + i) for i in range(5)] == [None] * 5


def test_a_session_first_seen_late_counts_the_run_at_its_end_alone() -> None:
    bounds = Bounds(60, same_tool_calls=3)
    assert SessionFuse(bounds).admit([A, A, A, A, B, A, A], NOW) is None
    assert SessionFuse(bounds).admit([B, A, A, A], NOW) is not None


def test_what_has_left_the_window_does_not_come_back_with_the_history() -> None:
    fuse = SessionFuse(Bounds(60, same_tool_calls=2))
    assert fuse.admit([A], NOW) is None
    assert fuse.admit([A, A], NOW + 62) is None
    assert fuse.admit([A, A, A], NOW + 63) is not None


def test_a_session_remembers_no_more_than_its_share() -> None:
    fuse = SessionFuse(Bounds(60, same_tool_calls=3))
    for number in range(TOOLS_MAX + 50):
        fuse.answered([ToolCall("t", number.to_bytes(4, "big"))], NOW)
    assert fuse.size == TOOLS_MAX
    assert fuse.admit([ToolCall("u", i.to_bytes(4, "big")) for i in range(2 * HISTORY_MAX)], NOW) is None
    assert fuse.size == TOOLS_MAX


def test_a_long_history_is_learnt_once_however_often_it_is_sent() -> None:
    fuse = SessionFuse(Bounds(60, same_tool_calls=2))
    history = [ToolCall("t", i.to_bytes(4, "big")) for i in range(3 * HISTORY_MAX)]
    assert [fuse.admit(history, NOW) for _ in range(5)] == [None] * 5
