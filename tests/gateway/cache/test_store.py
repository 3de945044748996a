"""The store of answers: never beyond its bytes, never beyond its time, never under another key."""

import tracemalloc
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.store import ENTRY_BYTES, Entry, Key, Store, size_of
from gateway.domain.usage import Completeness, Usage

USAGE = Usage(input_uncached=10, output=3)
ENTRY = Entry(200, b"content-type: application/json\r\n", b"{}", False, USAGE, Completeness.MEASURED, Decimal("0.01"))


def key(number: int = 0, tenant: str = "acme") -> Key:
    return Key(tenant, "fast", "interactive", "1", "chat", number.to_bytes(32, "big"))


def entry(size: int = 100) -> Entry:
    return replace(ENTRY, body=b"x" * size)


texts = st.text(max_size=3)
keys = st.builds(Key, texts, texts, texts, texts, texts, st.binary(max_size=3))


@given(keys, keys)
def test_an_answer_is_found_under_no_key_but_its_own(one: Key, other: Key) -> None:
    store = Store(10**6, 60)
    store.put(one, ENTRY, 0.0)
    assert (store.get(other, 1.0) is not None) == (one == other)


@given(st.text(min_size=1), st.text(min_size=1), keys)
def test_two_tenants_never_share_an_answer(one: str, other: str, rest: Key) -> None:
    """Whatever their names and whatever they ask, a name that continues in the next part included."""
    store = Store(10**6, 60)
    store.put(rest._replace(tenant=one), ENTRY, 0.0)
    assert (store.get(rest._replace(tenant=other), 1.0) is not None) == (one == other)
    assert store.get(rest._replace(tenant=one[:-1], alias=one[-1] + rest.alias), 1.0) is None


def test_an_answer_lives_for_its_time_and_not_a_moment_longer() -> None:
    store = Store(10**6, 60)
    store.put(key(), ENTRY, 100.0)
    assert store.get(key(), 159.999) is ENTRY
    assert store.get(key(), 160.0) is None
    assert (len(store), store.bytes, store.evictions) == (0, 0, {"size": 0, "ttl": 1})


def test_using_an_answer_does_not_lengthen_its_time() -> None:
    store = Store(10**6, 60)
    store.put(key(), ENTRY, 0.0)
    assert store.get(key(), 59.0) is ENTRY
    assert store.get(key(), 60.0) is None


def test_the_least_recently_used_goes_first() -> None:
    store = Store(3 * size_of(key(), entry()), 60)
    for number in range(3):
        store.put(key(number), entry(), 0.0)
    store.get(key(0), 1.0)
    store.put(key(3), entry(), 2.0)
    assert [number for number in range(4) if store.get(key(number), 3.0)] == [0, 2, 3]
    assert store.evictions == {"size": 1, "ttl": 0}


def test_what_is_larger_than_the_store_is_not_kept_and_drives_nothing_out() -> None:
    store = Store(2 * size_of(key(), entry()), 60)
    store.put(key(0), entry(), 0.0)
    assert not store.put(key(1), entry(100_000), 0.0)
    assert store.get(key(0), 1.0) is not None
    assert not Store(0, 60).put(key(), ENTRY, 0.0)


def test_a_newer_answer_takes_the_older_ones_place() -> None:
    store = Store(10**6, 60)
    store.put(key(), entry(100), 0.0)
    store.put(key(), entry(50), 30.0)
    found = store.get(key(), 89.0)
    assert found is not None
    assert len(found.body) == 50
    assert store.bytes == size_of(key(), found)


puts = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 6000), st.floats(0, 3)), max_size=60)


@given(st.integers(0, 20_000), puts)
def test_the_store_never_exceeds_its_bytes_and_counts_what_it_has(
    max_bytes: int, steps: list[tuple[int, int, float]]
) -> None:
    store, now = Store(max_bytes, 5), 0.0
    for number, size, pause in steps:
        now += pause
        store.put(key(number), entry(size), now)
        store.get(key(number // 2), now)
        assert 0 <= store.bytes <= max_bytes
        assert store.bytes == sum(size_of(k, e) for k, (_, e) in store._entries.items())


def test_over_many_entries_memory_stays_within_what_is_counted() -> None:
    """100,000 answers through a store of 4 MiB: the bytes counted are at least those that Python gave out."""
    store = Store(4 * 2**20, 60)
    tracemalloc.start()
    try:
        for number in range(100_000):
            usage = Usage(input_uncached=10_000 + number, output=50_000 + number)
            head, cost = b"content-type: %d\r\n" % number, Decimal(number)
            kept = Entry(200, head, b"%d" % number, False, usage, Completeness.MEASURED, cost)
            store.put(key(number), kept, 0.0)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(store) > 1000
    assert taken <= store.bytes <= store.max_bytes


def test_an_entry_is_counted_with_all_its_texts() -> None:
    assert size_of(key(), ENTRY) == ENTRY_BYTES + len(ENTRY.head) + len(ENTRY.body) + sum(map(len, key()))


def test_a_smaller_store_keeps_what_was_used_last_for_the_time_it_was_given() -> None:
    store = Store(10**6, 60)
    for number in range(3):
        store.put(key(number), ENTRY, 0.0)
    store.resize(size_of(key(), ENTRY), 5)
    assert [number for number in range(3) if store.get(key(number), 59.0)] == [2]
    store.put(key(4), ENTRY, 59.0)
    assert store.get(key(4), 64.0) is None
