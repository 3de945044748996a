"""The fair queue by its promises: slots, turns, places, caps and patience."""

from typing import Any

import pytest

from gateway.pools.fair_queue import FULL, GRANTED, PASSED_MAX, FairQueue, Full, Granted, Queued
from gateway.pools.slots import Claim, Limits


def queue(inflight: int = 1, places: int = 4, seconds: float = 10, **caps: Any) -> FairQueue[str]:
    return FairQueue(Limits(inflight, places, seconds, **caps))


def claim(name: str, weight: int = 1, **more: Any) -> Claim:
    """The claim of a request whose name begins with its tenant's."""
    return Claim(name[0], weight, **more)


def arrive(waiting: FairQueue[str], *names: str, **more: Any) -> list[Granted | Queued[str] | Full]:
    return [waiting.arrive(name, claim(name, **more), 0) for name in names]


def told(waiting: FairQueue[str]) -> list[str]:
    """Who has a slot since the last time."""
    names = list(waiting.going)
    waiting.going.clear()
    return names


def served(waiting: FairQueue[str], count: int, **more: Any) -> list[str]:
    """Who is served, one slot after another."""
    order: list[str] = []
    holder = claim("z", **more)
    for _ in range(count):
        waiting.release(holder)
        places = list(waiting.going.values())
        order += told(waiting)
        holder = places[0].claim if places else holder
    return order


def filled(inflight: int = 1, places: int = 4, **caps: Any) -> FairQueue[str]:
    """A queue whose slots are all held by a tenant z."""
    waiting = queue(inflight, places, **caps)
    assert arrive(waiting, *["z"] * inflight) == [GRANTED] * inflight
    return waiting


def test_slots_are_given_at_once_while_there_are_any() -> None:
    assert arrive(queue(inflight=2), "a1", "a2", "a3") == [GRANTED, GRANTED, Queued()]


def test_a_slot_is_to_spare_where_it_fits_and_nobody_waits() -> None:
    waiting = queue(inflight=3, per_tenant=1)
    assert waiting.spares(claim("a"))
    arrive(waiting, "a1")
    assert (waiting.spares(claim("a")), waiting.spares(claim("b"))) == (False, True)
    arrive(waiting, "a2")
    assert not waiting.spares(claim("b")), "a2 waits, though for nothing that b would take"


def test_a_slot_that_is_given_back_goes_to_the_first_in_line() -> None:
    waiting = filled()
    arrive(waiting, "a1", "a2")
    assert served(waiting, 3) == ["a1", "a2"]
    assert (waiting.slots.inflight, waiting.queued) == (0, 0)


def test_tenants_take_turns_however_many_one_of_them_sent() -> None:
    waiting = filled(places=8)
    arrive(waiting, "a1", "a2", "a3", "b1", "b2")
    assert served(waiting, 5) == ["a1", "b1", "a2", "b2", "a3"]


def test_turns_are_dealt_by_weight() -> None:
    waiting = filled(places=9)
    arrive(waiting, "a1", "a2", "a3", "a4", "a5", weight=2)
    arrive(waiting, "b1", "b2")
    assert served(waiting, 7) == ["a1", "b1", "a2", "a3", "b2", "a4", "a5"]


def test_a_heavy_tenant_waits_for_no_more_of_a_light_ones_than_their_weights_say() -> None:
    waiting = filled(places=50)
    arrive(waiting, *[f"a{i}" for i in range(20)])
    arrive(waiting, *[f"b{i}" for i in range(20)], weight=4)
    assert [name[0] for name in served(waiting, 10)].count("b") == 8


def test_a_tenant_that_was_held_up_does_not_make_up_for_it() -> None:
    waiting = filled(inflight=2, places=50)
    waiting.release(claim("z"))
    assert arrive(waiting, "a0", "a1", alias="slow", alias_max=1) == [GRANTED, Queued()]
    arrive(waiting, *[f"b{i}" for i in range(20)])
    assert [name[0] for name in served(waiting, 10)] == ["b"] * 10
    arrive(waiting, *[f"a{i}" for i in range(2, 8)])
    assert [name[0] for name in served(waiting, 8)] in (["a", "b"] * 4, ["b", "a"] * 4)


def test_a_full_queue_turns_its_fullest_tenant_away() -> None:
    waiting = filled(places=2)
    assert arrive(waiting, "a1", "a2", "a3") == [Queued(), Queued(), FULL]


def displaced(verdict: Granted | Queued[str] | Full) -> str | None:
    assert isinstance(verdict, Queued)
    return verdict.displaced.who if verdict.displaced else None


def test_a_tenant_below_its_share_displaces_the_newest_of_the_fullest() -> None:
    waiting = filled(places=3)
    arrive(waiting, "a1", "a2", "a3")
    assert displaced(arrive(waiting, "b1")[0]) == "a3"
    assert arrive(waiting, "b2") == [FULL]
    assert served(waiting, 4) == ["a1", "b1", "a2"]


def test_weight_counts_in_a_full_queue_too() -> None:
    waiting = filled(places=3)
    arrive(waiting, "a1", "a2", "a3", weight=4)
    assert arrive(waiting, "b1") == [FULL]


def test_a_slow_alias_at_its_cap_gives_up_places_to_another_of_the_same_tenant() -> None:
    waiting = filled(inflight=2, places=3)
    waiting.release(claim("z"))
    assert arrive(waiting, "s0", alias="slow", alias_max=1) == [GRANTED]
    arrive(waiting, "s1", "s2", "s3", alias="slow", alias_max=1)
    assert displaced(arrive(waiting, "s4", alias="fast")[0]) == "s3"
    assert arrive(waiting, "s5", alias="fast") == [FULL]
    assert served(waiting, 1) == ["s4"]


def test_an_alias_that_is_not_at_its_cap_gives_up_no_place() -> None:
    waiting = filled(inflight=2, places=2)
    arrive(waiting, "s1", "s2", alias="busy", alias_max=2)
    assert arrive(waiting, "s3", alias="fast") == [FULL]


def test_a_tenants_aliases_are_served_first_come_first_served() -> None:
    waiting = filled(places=9)
    names = ["a1", "a2", "a3", "a4"]
    for at, (name, alias) in enumerate(zip(names, ["x", "y", "y", "x"], strict=True)):
        waiting.arrive(name, claim(name, alias=alias), at)
    assert served(waiting, 4) == names


def test_no_places_means_no_waiting() -> None:
    assert arrive(queue(places=0), "a1", "a2") == [GRANTED, FULL]


def test_who_leaves_loses_the_place_and_no_slot_is_lost() -> None:
    waiting = filled()
    arrive(waiting, "a1", "a2")
    assert waiting.leave("a1")
    assert not waiting.leave("a1")
    assert not waiting.leave("nobody")
    assert served(waiting, 2) == ["a2"]
    assert waiting.slots.inflight == 0


def test_who_leaves_before_it_is_told_of_its_slot_hands_it_on() -> None:
    waiting = filled()
    arrive(waiting, "a1", "a2")
    waiting.release(claim("z"))
    assert list(waiting.going) == ["a1"]
    assert waiting.leave("a1")
    assert list(waiting.going) == ["a2"]


def test_patience_ends_at_the_limit_and_not_before() -> None:
    waiting = filled()
    for name, at in (("b", 3), ("a", 5)):
        waiting.arrive(name, claim(name), at)
    assert waiting.next_expiry() == 13
    assert waiting.expire(12.9) == []
    assert [place.who for place in waiting.expire(13)] == ["b"]
    assert waiting.next_expiry() == 15
    assert [place.who for place in waiting.expire(20)] == ["a"]
    assert waiting.next_expiry() is None


# Caps: who is held up does not hold up others


def test_a_tenant_at_its_cap_waits_while_others_go() -> None:
    waiting = queue(inflight=3, per_tenant=1)
    assert arrive(waiting, "a1", "a2", "b1") == [GRANTED, Queued(), GRANTED]
    waiting.release(claim("b"))
    assert told(waiting) == []
    waiting.release(claim("a"))
    assert told(waiting) == ["a2"]


def test_a_session_at_its_cap_waits_while_the_tenants_other_sessions_go() -> None:
    waiting = queue(inflight=3, per_session=1)
    assert arrive(waiting, "a1", "a2", session="s") == [GRANTED, Queued()]
    assert arrive(waiting, "a3", session="t") == [GRANTED]
    assert arrive(waiting, "a4", "a5") == [GRANTED, Queued()]
    waiting.release(claim("a", session="t"))
    assert told(waiting) == ["a5"]
    waiting.release(claim("a", session="s"))
    assert told(waiting) == ["a2"]


def test_a_session_of_the_same_name_is_another_tenants_own() -> None:
    waiting = queue(inflight=3, per_session=1)
    assert arrive(waiting, "a1", "b1", session="s") == [GRANTED, GRANTED]


def test_sessions_of_a_tenant_take_turns_where_they_are_capped() -> None:
    waiting = filled(places=9, per_session=5)
    arrive(waiting, "a1", "a2", "a3", session="s")
    arrive(waiting, "a4", "a5", session="t")
    assert served(waiting, 5) == ["a1", "a4", "a2", "a5", "a3"]


def test_an_alias_at_its_cap_waits_while_the_tenants_other_aliases_go() -> None:
    waiting = queue(inflight=3)
    assert arrive(waiting, "a1", "a2", alias="slow", alias_max=1) == [GRANTED, Queued()]
    assert arrive(waiting, "a3", "b1", alias="fast") == [GRANTED, GRANTED]
    assert arrive(waiting, "b2", alias="slow", alias_max=1) == [Queued()]
    waiting.release(claim("a", alias="slow", alias_max=1))
    assert told(waiting) == ["a2"]


def test_tokens_in_flight_are_bounded_but_one_request_alone_always_passes() -> None:
    waiting = queue(inflight=9, tokens=10)
    assert arrive(waiting, "a1", tokens=99) == [GRANTED]
    assert arrive(waiting, "a2", tokens=1) == [Queued()]
    waiting.release(claim("a", tokens=99))
    assert told(waiting) == ["a2"]


def test_one_long_request_that_ends_makes_room_for_several() -> None:
    waiting = queue(inflight=9, tokens=10)
    arrive(waiting, "a1", tokens=10)
    arrive(waiting, "a2", "b1", "a3", tokens=4)
    waiting.release(claim("a", tokens=10))
    assert told(waiting) == ["a2", "b1"]


def test_a_long_request_is_passed_over_so_often_and_no_more() -> None:
    waiting = queue(inflight=9, places=99, tokens=10)
    arrive(waiting, "s0", tokens=4)
    assert arrive(waiting, "l0", tokens=10) == [Queued()]
    assert arrive(waiting, "s1", tokens=4) == [GRANTED]
    arrive(waiting, *[f"s{i}" for i in range(2, 60)], tokens=4)
    order: list[str] = []
    while "l0" not in order:
        waiting.release(claim("s", tokens=4))
        order += told(waiting)
    assert len(order) == PASSED_MAX, "one had passed before, and then the long one itself is the last"
    assert waiting.slots.tokens == 10


def test_a_tenant_that_holds_its_fair_share_takes_no_reserved_slot() -> None:
    waiting = queue(inflight=10, reserved_share=0.3, weights=4)
    assert arrive(waiting, *[f"a{i}" for i in range(8)]) == [GRANTED] * 7 + [Queued()]
    assert arrive(waiting, "b1", "b2", "b3") == [GRANTED, GRANTED, Queued()]
    assert arrive(waiting, "c1", weight=2) == [GRANTED]


@pytest.mark.parametrize("slots", [1, 2, 3, 10])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_lone_tenant_is_never_shut_out_by_the_reserve(slots: int, share: float) -> None:
    waiting = queue(inflight=slots, reserved_share=share, weights=1000)
    assert arrive(waiting, "a1") == [GRANTED]


def test_limits_that_change_hold_for_those_who_wait() -> None:
    waiting = filled(places=9, per_session=1)
    arrive(waiting, "a1", "a2", "a3", session="s")
    waiting.resize(Limits(3, 9, 10))
    assert told(waiting) == ["a1", "a2"]
    waiting.resize(Limits(1, 9, 10))
    assert waiting.slots.inflight == 3
    for _ in range(2):
        waiting.release(claim("a", session="s"))
    assert told(waiting) == []
    waiting.release(claim("z"))
    assert told(waiting) == ["a3"]


def test_the_backlog_is_the_worst_of_what_bounds_a_request() -> None:
    waiting = queue(inflight=4, places=99, per_tenant=2, per_session=1, tokens=100)
    arrive(waiting, "a0", "a1", alias="slow", alias_max=2)
    arrive(waiting, "a2", "a3", "a4", alias="slow", alias_max=2)
    assert waiting.backlog(claim("c")) == 4 / 4
    assert waiting.backlog(claim("a")) == 4 / 2
    assert waiting.backlog(claim("c", alias="slow", alias_max=1)) == 4 / 1
    arrive(waiting, "b0", session="s", tokens=90)
    arrive(waiting, "b1", "b2", session="s")
    assert waiting.backlog(claim("b", session="s")) == 3 / 1
    assert waiting.backlog(claim("c", tokens=11)) == 6 / 3
