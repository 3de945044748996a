"""Hosts: busy time in SQL is the rule written anew here, and the parts sum to the cost to the last digit."""

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.allocation import Owner
from analytics.hosts.idle_rule import IdleRule
from analytics.hosts.shares import Part, idle_owner, idle_shared, parts_of
from analytics.hosts.use import UNIT, OwnerUse, StretchUse, nanos, used
from gateway.domain.host import QUANTUM, Host, Power, Rent, Stretch, in_order, stretches
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore

DAY = datetime(2026, 11, 30, tzinfo=UTC)
"""The last of its month, so that a night's attempt crosses both."""
NAMES = (f"machine-{number}" for number in itertools.count())
RENT = Rent(effective_from=DAY - timedelta(days=2), per_hour=Decimal("0.49"), egress_per_gb=Decimal("0.01"))
Call = tuple[str, int, int, str]
"""Tenant, first and last minute since DAY, outcome."""


def owner(tenant: str) -> Owner:
    return Owner(tenant, "local", "agent", 0, "")


def rows(host: str, calls: Iterable[Call]) -> list[dict[str, object]]:
    return [
        attempt(
            DAY + timedelta(minutes=begins), ended_at=DAY + timedelta(minutes=ends), tenant=tenant, alias="local",
            tier="agent", outcome=outcome, host=host, response_bytes=0 if outcome == "lost" else 1000 * (ends - begins),
        )
        for tenant, begins, ends, outcome in calls
    ]  # fmt: skip


def by_the_rule(stretch: Stretch, calls: Sequence[Call]) -> tuple[int, dict[str, int]]:
    """Busy nanoseconds and each tenant's weight, minute by minute."""
    busy, weights = 0, defaultdict[str, int](int)
    minute = stretch.since
    while minute < stretch.until:
        number = (minute - DAY) // timedelta(minutes=1)
        running = [
            tenant for tenant, begins, ends, outcome in calls if outcome != "refused" and begins <= number < ends
        ]
        for tenant in running:
            weights[tenant] += 60 * 10**9 * (UNIT // len(running))
        busy += 60 * 10**9 * bool(running)
        minute += timedelta(minutes=1)
    return busy, dict(weights)


calls = st.lists(
    st.tuples(
        st.sampled_from(["acme", "globex", "initech"]), st.integers(-90, 90), st.integers(0, 60),
        st.sampled_from(["ok", "error", "lost", "refused"]),
    ).map(lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2], drawn[3])),
    max_size=25,
)  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls, st.integers(-100, 0), st.integers(1, 100))
def test_busy_time_and_its_shares_are_the_rules_on_any_attempts(
    store: RunningStore, made: list[Call], begins: int, ends: int
) -> None:
    rents = in_order([
        replace(RENT, effective_from=DAY + timedelta(minutes=begins), effective_to=None),
        replace(RENT, effective_from=DAY + timedelta(minutes=begins + 40), effective_to=DAY + timedelta(minutes=200)),
    ])  # fmt: skip
    host = Host(next(NAMES), "", rents)
    if made:
        land(store.writer, *rows(host.name, made))
    cut = list(stretches([host], DAY - timedelta(minutes=120), DAY + timedelta(minutes=ends)))
    for use in used(store.writer, cut):
        busy, weights = by_the_rule(use.stretch, made)
        assert use.busy_ns == busy
        assert {each.owner.tenant: each.weight for each in use.owners if each.weight} == weights
        began = [call for call in made if nanos(use.stretch.since) <= nanos(DAY) + call[1] * 60 * 10**9
                 < nanos(use.stretch.until) and call[3] != "refused"]  # fmt: skip
        assert sum(each.attempts for each in use.owners) == len(began)
        assert sum(each.lost for each in use.owners) == sum(call[3] == "lost" for call in began)
        assert sum(each.sent_bytes for each in use.owners) == sum(
            1000 * (call[2] - call[1]) for call in began if call[3] != "lost"
        )


def test_an_attempt_is_cut_at_midnight_at_the_months_end_and_where_the_rent_begins_and_ends(
    store: RunningStore,
) -> None:
    midnight = DAY + timedelta(days=1)
    host = Host(next(NAMES), "", in_order([
        replace(RENT, effective_from=midnight - timedelta(hours=2), effective_to=midnight + timedelta(hours=3)),
    ]))  # fmt: skip
    land(store.writer, *rows(host.name, [("acme", 20 * 60, 30 * 60, "ok")]))
    told = used(store.writer, list(stretches([host], DAY - timedelta(days=9), DAY + timedelta(days=9))))
    hour = 3600 * 10**9
    assert [(use.stretch.since, use.busy_ns, use.idle_ns) for use in told] == [
        (midnight - timedelta(hours=2), 2 * hour, 0), (midnight, 3 * hour, 0),
    ]  # fmt: skip


def test_a_lost_attempt_keeps_a_host_busy_for_a_day_at_most(store: RunningStore) -> None:
    host = Host(next(NAMES), "", in_order([replace(RENT, effective_from=DAY - timedelta(days=9))]))
    land(store.writer, *rows(host.name, [("acme", 0, 5 * 24 * 60, "lost")]))
    told = used(store.writer, list(stretches([host], DAY, DAY + timedelta(days=9))))
    assert sum(use.busy_ns for use in told) == 86_400 * 10**9


weights = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 10**20), max_size=6)
amounts = st.decimals(0, 5000, places=6)


def use_of(rent: Rent, minutes: int, busy_minutes: int, weights: dict[str, int]) -> StretchUse:
    stretch = Stretch(Host("it", "", (rent,)), rent, DAY, DAY + timedelta(minutes=minutes))
    uses = tuple(
        OwnerUse(owner=owner(name), weight=weight, attempts=1, sent_bytes=weight % 10**12)
        for name, weight in sorted(weights.items())
    )
    return StretchUse(stretch, busy_minutes * 60 * 10**9 if weights else 0, uses)


@given(amounts, st.integers(1, 1440), st.integers(0, 1440), weights, st.randoms(use_true_random=False))
def test_a_stretchs_parts_sum_to_its_cost_to_the_last_digit_in_any_order(
    per_hour: Decimal, minutes: int, busy: int, weights: dict[str, int], shuffle: random.Random
) -> None:
    power = Power(idle_watts=Decimal(4), busy_watts=Decimal("43.7"), per_kwh=Decimal("0.31"))
    rent = replace(RENT, per_hour=per_hour, power=power, currency="EUR", usd_rate=Decimal("1.0873"))
    use = use_of(rent, minutes, min(busy, minutes), weights)
    parts = parts_of(use)
    drawn = sum(rent.power_usd(busy_ns=use.busy_ns, idle_ns=use.idle_ns))
    assert sum(part.rent_usd for part in parts) == use.stretch.usd
    assert sum(part.power_usd for part in parts) == drawn
    assert sum(part.egress_usd for part in parts) == rent.egress_usd(sum(each.sent_bytes for each in use.owners))
    shuffled = list(parts)
    shuffle.shuffle(shuffled)
    for rule in IdleRule:
        shared = idle_shared(parts, rule)
        assert sum(shared.values()) == parts[-1].time_usd
        assert idle_shared(shuffled, rule) == shared
    assert idle_shared(parts, IdleRule.NONE) == {idle_owner("it"): parts[-1].time_usd}


def test_idle_time_is_shared_by_the_rule_that_a_report_states() -> None:
    parts = parts_of(use_of(replace(RENT, per_hour=Decimal(6)), 60, 30, {"acme": 3 * 10**15, "globex": 10**15}))
    acme, globex = owner("acme"), owner("globex")
    assert idle_shared(parts, IdleRule.PROPORTIONAL) == {acme: Decimal("2.25"), globex: Decimal("0.75")}
    assert idle_shared(parts, IdleRule.EVEN) == {acme: Decimal("1.5"), globex: Decimal("1.5")}
    unused = parts_of(use_of(RENT, 60, 0, {}))
    assert idle_shared(unused, IdleRule.EVEN) == {idle_owner("it"): RENT.per_hour}


@given(amounts, weights, st.integers(1, 10**20))
def test_one_more_tenant_changes_the_shares_of_the_busy_part_and_not_the_idle_one(
    per_hour: Decimal, weights: dict[str, int], more: int
) -> None:
    rent = replace(RENT, per_hour=per_hour)
    before = use_of(rent, 600, 200, weights | {"first": 10**15})
    after = replace(before, owners=(*before.owners, OwnerUse(owner=owner("zz"), weight=more)))

    def idle_and_busy(parts: list[Part]) -> tuple[Decimal, Decimal]:
        return parts[-1].rent_usd, sum((part.rent_usd for part in parts[:-1]), Decimal(0))

    assert idle_and_busy(parts_of(before)) == idle_and_busy(parts_of(after))


@given(
    amounts, amounts, st.lists(st.integers(0, 50 * 1440), min_size=1, max_size=8, unique=True), st.integers(1, 40_000)
)
def test_a_rents_days_and_any_other_pieces_sum_to_its_whole(
    per_hour: Decimal, price: Decimal, cuts: list[int], life_minutes: int
) -> None:
    begins = DAY + timedelta(minutes=13)
    bought = replace(RENT, effective_from=begins, price=price, residual=price / 4)
    for rent in (
        replace(RENT, effective_from=begins, per_hour=per_hour),
        replace(bought, per_hour=Decimal(0), life_end=begins + timedelta(minutes=life_minutes)),
    ):
        whole = begins + timedelta(minutes=50 * 1440)
        edges = [begins, *(begins + timedelta(minutes=cut) for cut in sorted(cuts)), whole]
        pieces = [rent.usd(since, until) for since, until in itertools.pairwise(edges)]
        assert sum(pieces) == rent.usd(begins, whole)
        days = list(stretches([Host("it", "", (rent,))], begins - timedelta(days=40), whole))
        assert sum(stretch.usd for stretch in days) == rent.usd(begins, whole)
        assert all(piece == piece.quantize(QUANTUM) for piece in pieces)
        if rent.life_end and rent.life_end < whole:
            assert rent.usd(begins, whole) == (price - price / 4).quantize(QUANTUM)


@pytest.mark.parametrize(("at", "months", "then"), [
    ("2026-01-31T10:00", 1, "2026-02-28T10:00"), ("2028-01-31T10:00", 1, "2028-02-29T10:00"),
    ("2026-08-31T00:00", 1, "2026-09-30T00:00"), ("2026-12-15T00:00", 36, "2029-12-15T00:00"),
])  # fmt: skip
def test_a_life_of_months_is_of_calendar_months(at: str, months: int, then: str) -> None:
    from gateway.domain.host import months_after

    assert months_after(datetime.fromisoformat(at), months) == datetime.fromisoformat(then)
