"""A region's brownout: by every history of seven steps, and by what would keep it shut or open it wrongly."""

import math
from collections.abc import Iterator

import pytest

from gateway.breakers.brownout import CALM, Evidence, Region, Status, closed, opened, settled
from gateway.breakers.regions import Brownouts, Place, Turn

NOW = 100.0


def of(alias: str, tenant: str, stale_at: float = math.inf) -> Evidence:
    return Evidence((alias, tenant), tenant, stale_at)


def after(*found: Evidence, tenants: int = 3) -> Region:
    region = CALM
    for index, one in enumerate(found):
        region = opened(region, one, tenants=tenants, now=NOW + index)
    return region


@pytest.mark.parametrize(
    ("found", "tenants", "status"),
    [
        ([("a", "t1"), ("a", "t2")], 3, Status.CLOSED),
        ([("a", "t1"), ("a", "t2"), ("a", "t3")], 3, Status.OPEN),
        # Many aliases of one tenant are one tenant.
        ([("a", "t1"), ("b", "t1"), ("c", "t1"), ("d", "t1")], 3, Status.CLOSED),
        ([("a", "t1"), ("a", "t2")], 2, Status.OPEN),
        # One breaker alone is no region's trouble, even where there is but one tenant.
        ([("a", "t1")], 1, Status.CLOSED),
        ([("a", "t1"), ("b", "t1")], 1, Status.OPEN),
        ([("a", "t1"), ("a", "t1")], 1, Status.CLOSED),
    ],
)
def test_it_takes_enough_distinct_tenants(found: list[tuple[str, str]], tenants: int, status: Status) -> None:
    assert after(*(of(*one) for one in found), tenants=tenants).status is status


def test_recovery_is_from_the_first_opening_to_the_last_closing() -> None:
    place = Place("openai", "us-east-1")
    regions = Brownouts({"u0": place, "u1": place}, tenants=2)
    assert regions.opened("u0", of("a", "t1"), 10.0) is None
    assert regions.opened("u1", of("a", "t2"), 12.0) == Turn(place, Status.CLOSED, Status.OPEN, None)
    assert regions.skips("u0")
    assert regions.closed("u0", ("a", "t1"), 20.0) == Turn(place, Status.OPEN, Status.HALF_OPEN, None)
    assert not regions.skips("u0")
    assert regions.closed("u1", ("a", "t2"), 31.0) == Turn(place, Status.HALF_OPEN, Status.CLOSED, 21.0)
    assert (regions.recovery_s, regions.count) == ({place: 21.0}, {place: 1})
    assert regions.statuses(31.0) == {place: Status.CLOSED}


def test_another_providers_upstream_in_the_region_is_not_skipped_nor_one_without_a_region() -> None:
    regions = Brownouts({"u0": Place("openai", "eu"), "u1": Place("azure", "eu")}, tenants=2)
    for tenant in ("t1", "t2"):
        regions.opened("u0", of("a", tenant), 0.0)
        assert regions.opened("nowhere", of("a", tenant), 0.0) is None
    assert [regions.skips(upstream) for upstream in ("u0", "u1", "nowhere")] == [True, False, False]


def test_tenants_who_went_home_do_not_keep_a_region_shut() -> None:
    region = after(of("a", "t1", 200), of("a", "t2", 200), of("a", "t3", 210))
    assert settled(region, tenants=3, now=199.9) is region
    assert settled(region, tenants=3, now=200).status is Status.HALF_OPEN
    assert settled(region, tenants=3, now=210) == CALM


def test_an_incident_that_was_forgotten_does_not_lengthen_the_next() -> None:
    region = opened(after(of("a", "t1", 110)), of("a", "t2"), tenants=3, now=500.0)
    assert region.since == 500.0


def test_a_reload_forgets_the_evidence_of_breakers_that_are_gone() -> None:
    place = Place("openai", "eu")
    regions = Brownouts({"u0": place}, tenants=2)
    for tenant in ("t1", "t2"):
        regions.opened("u0", of("a", tenant), 0.0)
    assert regions.follow({"u0": place}, 2, lambda breaker: True) == []
    assert regions.skips("u0")
    assert regions.follow({"u0": place}, 2, lambda breaker: False) == [Turn(place, Status.OPEN, Status.CLOSED, None)]
    assert not regions.skips("u0")


def test_a_reload_judges_the_evidence_by_its_own_threshold_at_once() -> None:
    place = Place("openai", "eu")
    regions = Brownouts({"u0": place}, tenants=3)
    for tenant in ("t1", "t2"):
        regions.opened("u0", of("a", tenant), 0.0)
    assert regions.follow({"u0": place}, 2, lambda breaker: True) == [Turn(place, Status.CLOSED, Status.OPEN, None)]
    assert (regions.skips("u0"), regions.count) == (True, {place: 1})
    assert regions.follow({"u0": place}, 3, lambda breaker: True) == [Turn(place, Status.OPEN, Status.HALF_OPEN, None)]
    assert not regions.skips("u0")


BREAKERS = [("a", "t1"), ("b", "t1"), ("a", "t2")]
STEPS = 7


def successors(region: Region, now: float) -> Iterator[tuple[Region, float, bool]]:
    """What may come next, and whether it was a closing: any breaker opens, probes or closes, or time passes."""
    for breaker in BREAKERS:
        for stale_at in (now + 2, math.inf):
            yield opened(region, Evidence(breaker, breaker[1], stale_at), tenants=2, now=now), now, False
        yield closed(region, breaker, tenants=2, now=now), now, True
    yield settled(region, tenants=2, now=now + 1), now + 1, False


def test_no_history_of_seven_steps_breaks_a_promise() -> None:
    reached, turns = {(CALM, 0.0)}, set()
    for _ in range(STEPS):
        later = set()
        for region, now in reached:
            for then, at, closing in successors(region, now):
                tenants = {found.tenant for found in then.evidence}
                assert (then.status is Status.OPEN) == (len(tenants) >= 2)
                assert all(found.stale_at > at for found in then.evidence)
                assert len({found.breaker for found in then.evidence}) == len(then.evidence)
                assert bool(then.evidence) or then == CALM
                assert not (then.evidence and region.evidence and now == at) or then.since <= at
                assert not closing or len(then.evidence) <= len(region.evidence)
                turns.add((region.status, then.status))
                later.add((then, at))
        reached = later
    # One closing at a time takes a region from open to closed by way of half open; only staleness does it at once.
    assert turns == {(one, another) for one in Status for another in Status} - {(Status.CLOSED, Status.HALF_OPEN)}
