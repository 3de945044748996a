from collector.horizon import ANYONE, Horizon
from collector.otlp import NO_KEY
from tests.collector.emitting import keys

A, B, C, D = keys(4)


def horizon(*, keys_max: int = 100) -> Horizon:
    return Horizon(horizon_s=10.0, keys_max=keys_max)


def test_what_was_never_seen_is_not_known() -> None:
    assert horizon().known("gateway", [A, B]) == []


def test_what_was_seen_before_or_stands_twice_is_known() -> None:
    seen = horizon()
    seen.add("gateway", [A], 0)
    assert seen.known("gateway", [B, A, C, C, A]) == [1, 3, 4]


def test_nobody_makes_the_spans_of_another_vanish() -> None:
    seen = horizon()
    seen.add("app", [A], 0)
    seen.add("gateway", [B], 0)
    assert seen.known("gateway", [A]) == []
    assert seen.known("app", [A, B]) == [0]


def test_what_the_store_remembers_counts_for_everybody() -> None:
    seen = horizon()
    seen.add(ANYONE, [A], 0)
    assert seen.known("gateway", [A, B]) == [0]


def test_spans_without_ids_are_like_no_other() -> None:
    seen = horizon()
    seen.add("gateway", [NO_KEY], 0)
    assert len(seen) == 0
    assert seen.known("gateway", [NO_KEY, A, NO_KEY]) == []


def test_keys_are_forgotten_when_they_are_too_old() -> None:
    seen = horizon()
    seen.add("gateway", [A], 0)
    seen.add("gateway", [B], 1)
    seen.forget(10_000)
    assert seen.known("gateway", [A, B]) == [0, 1]
    seen.forget(10_001)
    assert seen.known("gateway", [A, B]) == [1]
    assert seen.oldest_ms == 1


def test_the_oldest_are_forgotten_when_there_are_too_many() -> None:
    seen = horizon(keys_max=2)
    for number, key in enumerate([A, B, C]):
        seen.add("gateway", [key], number)
    seen.forget(0)
    assert seen.known("gateway", [A, B, C]) == [1, 2]
    assert len(seen) == 2


def test_adding_a_key_again_does_not_make_it_count_twice() -> None:
    seen = horizon()
    seen.add("gateway", [A, A], 0)
    seen.add("gateway", [A, D], 9_000)
    assert len(seen) == 2
