"""Ill health: what is counted, for how long, and what it weighs."""

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.breakers.health import (
    ANSWERED,
    AT_CEILING,
    EMPTY,
    FAILED,
    NOTHING,
    TIMED_OUT,
    Ailment,
    Pressure,
    Rule,
    Tally,
    Window,
    ailment,
    counted,
    ill_health,
)

RULE = Rule(
    window_s=60, window_calls=10, failure_ratio=0.5, unhealthy_at=0.5, timeouts=0.6, token_ceiling=0.2,
    memory_pressure=0.2,
)  # fmt: skip

BLENDS = [
    (Tally(), Pressure.NORMAL, 0.0),
    (Tally(), Pressure.CRITICAL, 0.2),
    (Tally(10, 10, 10, 0), Pressure.NORMAL, 0.6),
    (Tally(10, 5, 5, 0), Pressure.NORMAL, 0.3),
    (Tally(10, 0, 0, 10), Pressure.NORMAL, 0.2),
    (Tally(10, 5, 5, 5), Pressure.WARN, 0.5),
    (Tally(10, 10, 10, 10), Pressure.CRITICAL, 1.0),
]


@pytest.mark.parametrize(("tally", "pressure", "expected"), BLENDS, ids=str)
def test_the_blend_is_the_documented_formula(tally: Tally, pressure: Pressure, expected: float) -> None:
    assert ill_health(tally, pressure, RULE) == pytest.approx(expected)


VERDICTS = [
    # Too few calls decide nothing, whatever they and the memory say.
    (Tally(9, 9, 9, 9), Pressure.CRITICAL, None),
    (Tally(10, 4, 0, 0), Pressure.NORMAL, None),
    (Tally(10, 5, 0, 0), Pressure.NORMAL, Ailment.FAILURE_RATIO),
    (Tally(10, 4, 4, 0), Pressure.CRITICAL, None),
    (Tally(10, 4, 4, 3), Pressure.CRITICAL, Ailment.UNHEALTHY),
    (Tally(10, 0, 0, 10), Pressure.CRITICAL, None),
]


@pytest.mark.parametrize(("tally", "pressure", "verdict"), VERDICTS, ids=str)
def test_the_verdict_takes_enough_calls_and_either_bound(
    tally: Tally, pressure: Pressure, verdict: Ailment | None
) -> None:
    assert ailment(tally, pressure, RULE) is verdict


def test_what_each_call_showed_is_counted() -> None:
    window = EMPTY
    for seen in (ANSWERED, ANSWERED, FAILED, TIMED_OUT, AT_CEILING):
        window = counted(window, seen, RULE, 1.0)
    assert window.whole == Tally(calls=5, failures=2, timeouts=1, ceilings=1)


@pytest.mark.parametrize(("later", "known"), [(29.9, 2), (30, 2), (59.9, 2), (60, 1), (61, 1)])
def test_what_is_older_than_the_window_falls_out(later: float, known: int) -> None:
    window = counted(Window(began=100.0), FAILED, RULE, 100.0)
    assert counted(window, ANSWERED, RULE, 100.0 + later).whole.calls == known


@given(st.lists(st.tuples(st.floats(0, 40), st.sampled_from([ANSWERED, FAILED, TIMED_OUT, AT_CEILING])), max_size=40))
def test_the_window_knows_all_of_its_last_half_and_nothing_from_before_its_whole(
    calls: list[tuple[float, Tally]],
) -> None:
    now, window, history = 0.0, EMPTY, []
    for gap_s, seen in calls:
        now += gap_s
        window = counted(window, seen, RULE, now)
        history.append((now, seen))
        newest = NOTHING
        for at, shown in history:
            newest = newest.plus(shown) if at > now - RULE.window_s / 2 else newest
        whole = NOTHING
        for at, shown in history:
            whole = whole.plus(shown) if at > now - RULE.window_s else whole
        bounds = zip(astuple(newest), astuple(window.whole), astuple(whole), strict=True)
        assert all(low <= known <= high for low, known, high in bounds)
