"""The fair queue: slots, turns, places and patience."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.fair_queue import FULL, GRANTED, FairQueue, Limits, Queued


def queue(inflight: int = 1, places: int = 4, seconds: float = 10) -> FairQueue[str]:
    return FairQueue(Limits(inflight, places, seconds))


def served(waiting: FairQueue[str], count: int) -> list[str | None]:
    return [waiting.release() for _ in range(count)]


def test_slots_are_given_at_once_while_there_are_any() -> None:
    waiting = queue(inflight=2)
    assert [waiting.arrive(name, "a", 1, 0) for name in ("1", "2", "3")] == [GRANTED, GRANTED, Queued()]


def test_a_slot_that_is_given_back_goes_to_the_first_in_line() -> None:
    waiting = queue()
    for name in ("0", "1", "2"):
        waiting.arrive(name, "a", 1, 0)
    assert served(waiting, 3) == ["1", "2", None]
    assert (waiting.inflight, waiting.queued) == (0, 0)


def test_tenants_take_turns_however_many_one_of_them_sent() -> None:
    waiting = queue(places=8)
    for name in ("0", "a1", "a2", "a3", "b1", "b2"):
        waiting.arrive(name, name[0], 1, 0)
    assert served(waiting, 5) == ["a1", "b1", "a2", "b2", "a3"]


def test_a_turn_is_as_long_as_the_weight() -> None:
    waiting = queue(places=9)
    for name in ("0", "a1", "a2", "a3", "a4", "a5", "b1", "b2"):
        waiting.arrive(name, name[0], 2 if name[0] == "a" else 1, 0)
    assert served(waiting, 7) == ["a1", "a2", "b1", "a3", "a4", "b2", "a5"]


def test_a_full_queue_turns_its_fullest_tenant_away() -> None:
    waiting = queue(places=2)
    for name in ("0", "a1", "a2"):
        waiting.arrive(name, "a", 1, 0)
    assert waiting.arrive("a3", "a", 1, 0) == FULL


def test_a_tenant_below_its_share_displaces_the_newest_of_the_fullest() -> None:
    waiting = queue(places=3)
    for name in ("0", "a1", "a2", "a3"):
        waiting.arrive(name, "a", 1, 0)
    assert waiting.arrive("b1", "b", 1, 0) == Queued(displaced="a3")
    assert waiting.arrive("b2", "b", 1, 0) == FULL
    assert served(waiting, 4) == ["a1", "b1", "a2", None]


def test_weight_counts_in_a_full_queue_too() -> None:
    waiting = queue(places=3)
    for name in ("0", "a1", "a2", "a3"):
        waiting.arrive(name, "a", 4, 0)
    assert waiting.arrive("b1", "b", 1, 0) == FULL


def test_no_places_means_no_waiting() -> None:
    waiting = queue(places=0)
    assert [waiting.arrive("1", "a", 1, 0), waiting.arrive("2", "a", 1, 0)] == [GRANTED, FULL]


def test_who_leaves_loses_the_place_and_no_slot_is_lost() -> None:
    waiting = queue()
    for name in ("0", "1", "2"):
        waiting.arrive(name, "a", 1, 0)
    assert waiting.leave("1", "a")
    assert not waiting.leave("1", "a")
    assert not waiting.leave("2", "b")
    assert served(waiting, 2) == ["2", None]


def test_patience_ends_at_the_limit_and_not_before() -> None:
    waiting = queue(seconds=10)
    waiting.arrive("0", "a", 1, 0)
    waiting.arrive("1", "a", 1, 5)
    waiting.arrive("2", "b", 1, 3)
    assert waiting.next_expiry() == 13
    assert waiting.expire(12.9) == []
    assert waiting.expire(13) == ["2"]
    assert waiting.next_expiry() == 15
    assert waiting.expire(20) == ["1"]
    assert waiting.next_expiry() is None


MOVES = st.lists(st.tuples(st.sampled_from(["arrive", "release", "leave", "expire"]), st.integers(0, 2)), max_size=60)


@given(MOVES)
def test_slots_and_places_are_never_lost_nor_invented(moves: list[tuple[str, int]]) -> None:
    waiting = queue(inflight=2, places=3)
    holding, in_line = 0, {}
    for step, (move, which) in enumerate(moves):
        tenant = "abc"[which]
        if move == "arrive":
            verdict = waiting.arrive(f"{step}", tenant, which + 1, step)
            if verdict == GRANTED:
                holding += 1
            elif isinstance(verdict, Queued):
                in_line[f"{step}"] = tenant
                if verdict.displaced is not None:
                    del in_line[verdict.displaced]
        elif move == "release" and holding:
            successor = waiting.release()
            if successor is None:
                assert not in_line, "nobody is passed over"
                holding -= 1
            else:
                del in_line[successor]
        elif move == "leave" and in_line:
            who = next(iter(in_line))
            assert waiting.leave(who, in_line.pop(who))
        elif move == "expire":
            for who in waiting.expire(step - 8):
                del in_line[who]
        assert (waiting.inflight, waiting.queued) == (holding, len(in_line))
        assert holding <= 2
        assert len(in_line) <= 3
        assert not in_line or holding == 2, "nobody waits while a slot is free"
