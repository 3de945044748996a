"""Costs by owner: what bought nothing is found once and by its cause, and the columns sum to what they are of."""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from clickhouse_connect.driver.client import Client
from hypothesis import given
from hypothesis import strategies as st

from analytics import rate_cards
from analytics.allocation import Owner
from analytics.economic.gather import costs_in
from analytics.economic.table import COLUMNS, Kind, Spent, Waste, management_costs, whole
from analytics.hosts.costs import host_costs, unknown_hosts
from analytics.hosts.focus import allocated
from analytics.hosts.idle_rule import IdleRule
from analytics.hosts.shares import Part, parts_of
from analytics.hosts.use import UNIT, OwnerUse, StretchUse
from analytics.windows import Window, month_window
from gateway.domain.host import Host, Power, Rent, Stretch, in_order
from tests.analytics.landed import attempt, land
from tests.analytics.recon_builders import card

NOW = datetime(2027, 1, 1, tzinfo=UTC)
NOVEMBER = month_window("2026-11")
COST = Decimal("0.00021")
"""Of an attempt of tests.analytics.landed at the tests' card."""


def request(*attempts: dict[str, object]) -> list[dict[str, object]]:
    """The attempts as those of one request, in order."""
    first = attempt()
    same = {"trace_id": first["trace_id"], "parent_span_id": first["parent_span_id"]}
    return [attempt(**{**made, **same, "attempt_index": i}) for i, made in enumerate(attempts)]  # type: ignore[arg-type]


OK: dict[str, object] = {}
RUNG: dict[str, object] = {"fallback_depth": 1, "fallback_reason": "timeout"}
HEDGE: dict[str, object] = {"fallback_depth": 1, "fallback_reason": "hedge"}
BAD: dict[str, object] = {"outcome": "error", "error_type": "bad_response", "http_status": 200}
LATE: dict[str, object] = {"outcome": "timeout", "error_type": "first_token_timeout", "completeness": "unknown"}
LOSER: dict[str, object] = {"outcome": "cancelled", "error_type": "hedge_lost", "completeness": "estimated"}
DOWN: dict[str, object] = {"outcome": "error", "error_type": "server_error", "http_status": 500,
                           "completeness": "unknown"}  # fmt: skip
LEFT: dict[str, object] = {"outcome": "cancelled", "error_type": "client_cancelled", "completeness": "estimated"}


def wastes(client: Client, *requests: list[dict[str, object]]) -> list[tuple[str, str, int, int, Decimal, int]]:
    rate_cards.load(client, [card()], now=NOW)
    land(client, *({"host": "", **row} for rows in requests for row in rows))
    found = costs_in(client, NOVEMBER, hosts=(), queue_second_usd={}, idle_rule=IdleRule.NONE, now=NOW)
    return [(w.kind, w.cause, w.owner.fallback_depth, w.attempts, w.usd, w.unmeasured) for w in found.wastes]


def test_each_attempt_that_bought_nothing_is_told_once_by_kind_and_cause(writer: Client) -> None:
    told = wastes(
        writer,
        request(BAD, OK),
        request(LATE, RUNG),
        request(LATE, OK),
        request(LOSER, HEDGE),
        request(OK, {**HEDGE, **BAD}),
        request({**RUNG, **BAD}, {**RUNG, "fallback_depth": 2}),
    )
    assert told == [
        (Kind.DUAL, "fallback", 0, 1, Decimal(0), 1),
        (Kind.DUAL, "hedge", 0, 1, COST, 1),
        (Kind.DUAL, "retry", 0, 1, Decimal(0), 1),
        (Kind.REWORK, "bad_response", 0, 1, COST, 0),
        (Kind.DUAL, "hedge", 1, 1, COST, 0),
        (Kind.REWORK, "bad_response", 1, 1, COST, 0),
    ]


def test_attempts_without_a_price_make_the_token_cost_a_floor_and_are_counted(writer: Client) -> None:
    rate_cards.load(writer, [card()], now=NOW)
    land(writer, attempt(), attempt(model="nobody-prices"))
    found = costs_in(writer, NOVEMBER, hosts=(), queue_second_usd={}, idle_rule=IdleRule.NONE, now=NOW)
    assert (whole(found.by_owner.values()).token_cost, found.unpriced) == (COST, 1)


def test_an_answer_without_the_shape_that_was_asked_for_or_that_its_tenant_had_made_again_is_rework(
    writer: Client,
) -> None:
    good, bad, redone = request(OK), request(DOWN, OK), request(OK)
    faulty = request({"answer_fault": "invalid_json"}, {"answer_fault": ""})[:1]
    land(writer, *(
        attempt(
            "2026-12-05", attempt_id="", kind=1, billable=False, feedback_verdict=verdict, feedback_reason=reason,
            trace_id=rows[0]["trace_id"], parent_span_id=rows[0]["parent_span_id"],
        )
        for rows, verdict, reason in ((good, "good", ""), (bad, "bad", ""), (redone, "redo", "wrong_tool"))
    ))  # fmt: skip
    told = wastes(writer, *([{"answer_fault": "", **row} for row in rows] for rows in (good, bad, redone, faulty)))
    assert [(kind, cause, attempts, usd) for kind, cause, _, attempts, usd, _ in told] == [
        (Kind.REWORK, "feedback_bad", 1, COST),
        (Kind.REWORK, "feedback_redo:wrong_tool", 1, COST),
        (Kind.REWORK, "invalid_json", 1, COST),
    ]


def test_what_cost_nothing_or_was_followed_by_nothing_is_no_waste(writer: Client) -> None:
    assert wastes(writer, request(DOWN, OK), request(LEFT), request(BAD), request(OK), request(LATE)) == []


def test_owners_costs_are_those_of_their_tokens_their_waiting_and_their_hosts(writer: Client) -> None:
    rate_cards.load(writer, [card()], now=NOW)
    power = Power(idle_watts=Decimal(4), busy_watts=Decimal(40), per_kwh=Decimal("0.3"))
    begins = datetime(2026, 11, 3, tzinfo=UTC)
    rents = in_order([Rent(effective_from=begins, effective_to=begins + timedelta(days=2), per_hour=Decimal("0.48"),
                           power=power, egress_per_gb=Decimal("0.05"))])  # fmt: skip
    hosts = [Host("mac", "Mac mini", rents), Host("spare", "", rents)]
    hour = {"ended_at": begins + timedelta(hours=2), "host": "mac", "response_bytes": 10**9}
    land(
        writer,
        attempt(begins, **hour, tenant="acme"),
        attempt(begins + timedelta(hours=1), **hour, tenant="globex", queue_seconds=1.5),
        attempt(begins, **hour | {"host": "gone"}, tenant="globex"),
    )
    found = costs_in(
        writer, NOVEMBER, hosts=hosts, queue_second_usd={"interactive": Decimal("0.01")}, idle_rule=IdleRule.NONE,
        now=NOW,
    )  # fmt: skip
    acme, globex, mac, spare = (
        found.by_owner[owner] for owner in sorted(found.by_owner, key=lambda o: (o.tenant[0] == "(", o))
    )
    # One hour alone at 0.48 + 0.012, then half of an hour.
    assert (acme.token_cost, acme.queue_cost, acme.rent_cost) == (COST, Decimal("0.0025"), Decimal("0.738"))
    assert (globex.token_cost, globex.queue_cost, globex.rent_cost) == (2 * COST, Decimal("0.0175"), Decimal("0.246"))
    assert (acme.egress_cost, globex.egress_cost) == (Decimal("0.05"), Decimal("0.05"))
    assert (mac.idle_cost, spare.idle_cost) == (46 * Decimal("0.4812"), 48 * Decimal("0.4812"))
    assert acme.total_management_cost == COST + Decimal("0.0025") + Decimal("0.738") + Decimal("0.05")
    told = host_costs(writer, hosts, NOVEMBER, now=NOW)
    assert [(cost.busy_minutes, cost.idle_minutes) for cost in told] == [(120, 46 * 60), (0, 48 * 60)]
    assert sum(cost.total_usd for cost in told) == sum(
        cost.rent_cost + cost.egress_cost + cost.idle_cost for cost in found.by_owner.values()
    )
    assert unknown_hosts(writer, hosts, NOVEMBER) == {"gone": 1}
    until_noon = host_costs(writer, hosts[:1], NOVEMBER, now=begins + timedelta(hours=12))
    assert (until_noon[0].rented_minutes, until_noon[0].idle_minutes) == (720, 600)
    by_day = [
        host_costs(writer, hosts, Window(begins + timedelta(days=n), begins + timedelta(days=n + 1)), now=NOW)
        for n in range(2)
    ]
    assert sum(cost.total_usd for day in by_day for cost in day) == sum(cost.total_usd for cost in told)


owners = st.builds(
    Owner, st.sampled_from(["acme", "globex"]), st.sampled_from(["fast", "slow"]), st.sampled_from(["a", "b"]),
    st.integers(0, 1), st.just(""),
)  # fmt: skip
amounts = st.decimals(0, 10**6, places=12)
spents = st.dictionaries(owners, st.builds(Spent, amounts, st.decimals(0, 10**6, places=6)))
wasted = st.lists(
    st.builds(Waste, owner=owners, kind=st.sampled_from(Kind), cause=st.just("x"), attempts=st.just(1), usd=amounts)
)
DAY = datetime(2026, 11, 3, tzinfo=UTC)


def _use(host: str, per_hour: Decimal, busy_ns: int, weights: dict[Owner, int]) -> StretchUse:
    rent = Rent(effective_from=DAY, per_hour=per_hour, egress_per_gb=Decimal("0.011"))
    stretch = Stretch(Host(host, "", (rent,)), rent, DAY, DAY + timedelta(days=1))
    uses = tuple(
        OwnerUse(owner=owner, weight=weights[owner] * UNIT, sent_bytes=weights[owner]) for owner in sorted(weights)
    )
    return StretchUse(stretch, busy_ns if weights else 0, uses)


uses = st.lists(
    st.builds(_use, st.sampled_from(["m1", "m2"]), amounts, st.integers(0, 86_400 * 10**9),
              st.dictionaries(owners, st.integers(1, 10**13), max_size=4)),
    max_size=4,
)  # fmt: skip


@given(spents, wasted, uses, st.sampled_from(IdleRule), st.randoms(use_true_random=False))
def test_the_tables_columns_sum_to_what_they_are_of_in_any_order_under_any_rule(
    spent: dict[Owner, Spent], wastes: list[Waste], made: list[StretchUse], rule: IdleRule, shuffle: random.Random
) -> None:
    parts = [part for use in made for part in parts_of(use)]
    prices = {"a": Decimal("0.003")}
    table = management_costs(spent, wastes, parts, prices, rule)
    total = whole(table.values())
    assert total.token_cost == sum(each.token_cost for each in spent.values())
    assert total.queue_cost == sum(each.queue_seconds * prices.get(o.tier, 0) for o, each in spent.items())
    assert total.rework_cost + total.dual_spend == sum(each.usd for each in wastes)
    assert total.rent_cost + total.idle_cost == sum(use.stretch.usd for use in made)
    assert total.egress_cost == sum(part.egress_usd for part in parts)
    assert total.total_management_cost == (
        total.token_cost + total.queue_cost + total.rent_cost + total.egress_cost + total.idle_cost
    )
    shuffle.shuffle(parts)
    shuffle.shuffle(wastes)
    assert management_costs(spent, wastes, parts, prices, rule) == table
    _check_focus(parts)


def _check_focus(parts: list[Part]) -> None:
    rows = allocated(parts)
    charges = {(row.host, row.charge) for row in rows}
    for host, charge in charges:
        mine = [row for row in rows if (row.host, row.charge) == (host, charge)]
        assert sum(row.ratio for row in mine) == 1
        theirs = [part for part in parts if part.stretch.host.name == host]
        assert sum(row.usd for row in mine) == sum(
            part.time_usd if charge == "time" else part.egress_usd for part in theirs
        )
    for row in rows:
        (element,) = json.loads(row.columns["AllocatedMethodDetails"], parse_float=Decimal)["Elements"]
        assert Decimal(element["AllocatedRatio"]) == row.ratio


def test_the_columns_are_those_of_the_months_file() -> None:
    assert COLUMNS == (
        "token_cost", "queue_seconds", "queue_cost", "rework_cost", "rent_cost", "egress_cost", "idle_cost",
        "dual_spend", "total_management_cost",
    )  # fmt: skip
