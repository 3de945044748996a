"""Deadlines that share a timer."""

import asyncio

from gateway.domain import clock
from gateway.flow.deadlines import Lane
from tests.gateway.serving import until


async def test_each_is_called_once_in_the_order_they_joined_and_not_before_its_time() -> None:
    lane = Lane(0.03, asyncio.get_running_loop())
    called: list[tuple[str, float]] = []
    began = clock.monotonic()
    lane.join(lambda: called.append(("a", clock.monotonic())), began)
    await until(lambda: clock.monotonic() - began > 0.01)
    lane.join(lambda: called.append(("b", clock.monotonic())), clock.monotonic())
    await until(lambda: len(called) == 2)
    assert [name for name, _ in called] == ["a", "b"]
    assert called[0][1] - began >= 0.03 - 0.006
    assert called[1][1] - began >= 0.04 - 0.006
    assert len(lane) == 0


async def test_who_left_is_not_called_and_does_not_hold_up_the_next() -> None:
    lane = Lane(0.02, asyncio.get_running_loop())
    called: list[str] = []

    def first() -> None:
        called.append("first")

    lane.join(first, clock.monotonic())
    lane.join(lambda: called.append("second"), clock.monotonic())
    lane.leave(first)
    lane.leave(first)
    await until(lambda: called)
    assert called == ["second"]


async def test_a_fault_in_one_does_not_lose_the_others() -> None:
    loop = asyncio.get_running_loop()
    faults: list[object] = []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    lane = Lane(0.01, loop)
    called: list[str] = []
    lane.join(lambda: called.append(str(1 // 0)), clock.monotonic())
    lane.join(lambda: called.append("second"), clock.monotonic())
    await until(lambda: called)
    assert called == ["second"]
    assert len(faults) == 1
