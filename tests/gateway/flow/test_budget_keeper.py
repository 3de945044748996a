"""Month's budgets over their database: no cap is passed, nothing is forgotten, and a crash only overstates."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.budgets import keeper as budget_keeper
from gateway.budgets.keeper import BudgetKeeper, Hold, cost_usd, renewal
from gateway.budgets.purse import Purse
from gateway.control import spend
from gateway.control.database import MEMORY, ControlUnavailable, Database
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.ids import AttemptId
from gateway.domain.rate_card import RateBook, RateCard
from gateway.domain.usage import NO_USAGE, Completeness, TokenClass, Usage
from gateway.errors import BudgetExhausted, BudgetUnavailable
from gateway.flow.tasks import Tasks
from gateway.ladder.ladder import Quote, Rung, Send
from tests.gateway.facts import attempt, intent
from tests.gateway.serving import routing, until

DOLLAR = Decimal(1)
CARD = RateCard(
    provider="openai",
    model="m0",
    currency="USD",
    effective_from=datetime(2023, 1, 1, tzinfo=UTC),
    per_million={TokenClass.INPUT_UNCACHED: DOLLAR, TokenClass.OUTPUT: 2 * DOLLAR},
)


@asynccontextmanager
async def keeper(database: Database, **budget: str) -> AsyncIterator[BudgetKeeper]:
    """A keeper of acme's budget, closed at the end."""
    extra = {"fallback": {"max_extra_month_usd": budget.pop("all_extra")}} if "all_extra" in budget else {}
    config = routing("http://a/v1", tenants={"acme": {"budget": budget}}, **extra)
    loop = asyncio.get_running_loop()
    tasks = Tasks(loop)
    kept = BudgetKeeper(config, database, loop, tasks)
    yield kept
    await tasks.close()
    await kept.close()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.under(tmp_path)
    opened.open()
    yield opened
    opened.close()


def send(usd: str, *, extra: bool = False) -> Send:
    rung = Rung(int(extra), "u0", "m0", "interactive")  # type: ignore[arg-type]
    return Send(rung, None, Quote(Decimal(usd), Decimal(usd)), extra=extra)


async def admitted(kept: BudgetKeeper, move: Send) -> Hold | None:
    """What becomes of a call, as the ladder and its loop treat it."""
    purse = Purse(kept, "acme")
    for _ in range(50):
        funds, worst = purse.funds(), move.quote.worst_usd or Decimal(0)
        if (move.extra and worst > funds.extra_usd) or (funds.month_usd is not None and worst > funds.month_usd):
            return None
        hold = purse.hold(move, CARD)
        if hold is not None:
            return hold
        await purse.lease(move)
    raise AssertionError("it was neither admitted nor refused")


def used(database: Database, bound: str = "tenant/acme") -> Decimal:
    month = budget_keeper.month_of(clock.utc_now())
    return database.run(lambda connection: spend.used_of(connection, month)).get(bound, Decimal(0))


def ended(kept: BudgetKeeper, hold: Hold, **changes: Any) -> Attempt:
    """The attempt of a call that was admitted."""
    of = intent()
    kept.open[AttemptId(of.attempt_id)] = hold
    over = attempt(of, usage=Usage(input_uncached=1000, output=500), **changes)
    kept.settle(over)
    return over


async def test_a_tenant_without_a_budget_has_none_of_it(database: Database) -> None:
    async with keeper(database) as kept:
        assert kept.names_of("acme") == (None, ())
        assert kept.metrics()[0].samples == []
        hold = await admitted(kept, send("0.9", extra=True))
        assert hold is not None, "the request's own bound on extra spend is enough"
    assert used(database) == 0


async def test_calls_at_the_same_time_are_admitted_up_to_the_limit_and_not_one_beyond(database: Database) -> None:
    async with keeper(database, month_usd="1") as kept:
        holds = await asyncio.gather(*(admitted(kept, send("0.03")) for _ in range(50)))
        assert sum(hold is not None for hold in holds) == 33
        assert used(database) <= 1


async def test_two_processes_on_one_database_never_admit_more_than_the_limit_together(database: Database) -> None:
    async with keeper(database, month_usd="1") as one, keeper(database, month_usd="1") as other:
        calls = [admitted(kept, send("0.03")) for _ in range(30) for kept in (one, other)]
        assert sum(hold is not None for hold in await asyncio.gather(*calls)) in (32, 33)


async def test_what_was_spent_is_remembered_and_what_was_not_is_given_back(database: Database) -> None:
    async with keeper(database, month_usd="1") as kept:
        hold = await admitted(kept, send("0.5"))
        assert hold is not None
        ended(kept, hold)
    assert used(database) == Decimal("0.002"), "1,000 tokens at one dollar a million, and 500 at two"
    async with keeper(database, month_usd="1") as kept:
        await kept.read()
        assert kept.bound("tenant/acme").left_usd == Decimal("0.998")
        assert await admitted(kept, send("0.9981")) is None
        assert await admitted(kept, send("0.998")) is not None


async def test_without_a_clean_end_the_month_is_overstated_by_little_and_never_understated(database: Database) -> None:
    async with keeper(database, month_usd="10") as kept:
        for _ in range(20):
            hold = await admitted(kept, send("0.03"))
            assert hold is not None
            ended(kept, hold)
        under_way = await admitted(kept, send("0.03"))
        assert under_way is not None
        await until(lambda: Decimal("0.07") <= used(database) <= Decimal("0.07") + Decimal("0.2"), 5)


async def test_what_lies_idle_after_a_burst_is_given_back_while_the_process_runs(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_keeper, "TIDY_S", 0.01)
    async with keeper(database, month_usd="10") as kept:
        holds = [hold for hold in await asyncio.gather(*(admitted(kept, send("0.1")) for _ in range(50))) if hold]
        assert used(database) >= 5
        for hold in holds:
            ended(kept, hold)
        await until(lambda: used(database) <= Decimal("0.3"))
        assert used(database) >= Decimal("0.1"), "what was spent stays"


async def test_what_was_spent_unasked_is_charged_beyond_the_limit_and_is_in_the_database_at_once(
    database: Database,
) -> None:
    async with keeper(database, month_usd="1") as kept, keeper(database, month_usd="1") as other:
        hold = await admitted(kept, send("0.5"))
        assert hold is not None
        await asyncio.gather(*(kept.charge("acme", Decimal("0.4")) for _ in range(3)))
        assert used(database) >= Decimal("1.7")
        assert (kept.state()[0]["used_usd"], kept.state()[0]["left_usd"]) == ("1.7", "0")
        assert await admitted(kept, send("0.01")) is None
        assert await admitted(other, send("0.01")) is None
        ended(kept, hold)
    assert used(database) == Decimal("1.202")


async def test_what_was_spent_unasked_by_a_tenant_without_a_budget_is_nobodys(database: Database) -> None:
    async with keeper(database) as kept:
        await kept.charge("acme", DOLLAR)
    assert used(database) == 0


async def test_a_call_dearer_than_its_worst_case_is_on_the_books_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_keeper, "TIDY_S", 0.01)
    async with keeper(database, month_usd="0.001") as kept:
        hold = await admitted(kept, send("0.0005"))
        assert hold is not None
        ended(kept, hold)
        assert kept.bound("tenant/acme").left_usd == 0
        await until(lambda: used(database) == Decimal("0.002"))
        assert await admitted(kept, send("0.0001")) is None


async def test_a_fallback_is_bound_by_all_its_budgets_at_once(database: Database) -> None:
    async with keeper(database, month_usd="1", extra_month_usd="0.1", all_extra="0.05") as kept:
        assert await admitted(kept, send("0.06", extra=True)) is None
        assert await admitted(kept, send("0.05", extra=True)) is not None
        assert await admitted(kept, send("0.06")) is not None, "a first choice is not extra"
        state = {row["bound"]: row["used_usd"] for row in kept.state()}
        assert state == {"tenant/acme": "0.11", "tenant/acme/extra": "0.05", "extra": "0.05"}
        by_kind = {sample.labels["bound"]: sample.value for sample in kept.metrics()[1].samples}
        assert by_kind == {"tenant": 0.11, "tenant_extra": 0.05, "extra": 0.05}


async def test_a_new_month_begins_with_nothing_spent_and_the_old_one_keeps_its_own(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_keeper, "TIDY_S", 0.01)
    async with keeper(database, month_usd="1") as kept:
        hold = await admitted(kept, send("0.9"))
        assert hold is not None
        old = budget_keeper.month_of(clock.utc_now())
        turned = renewal(clock.utc_now())
        monkeypatch.setattr(budget_keeper.clock, "utc_now", lambda: turned)
        assert await admitted(kept, send("0.9")) is not None
        ended(kept, hold)
        await until(
            lambda: database.run(lambda connection: spend.used_of(connection, old)) == {"tenant/acme": Decimal("0.002")}
        )


async def test_a_reload_keeps_what_was_spent_under_the_new_limit(database: Database) -> None:
    async with keeper(database, month_usd="1") as kept:
        assert await admitted(kept, send("0.5")) is not None
        kept.follow(routing("http://a/v1", tenants={"acme": {"budget": {"month_usd": "0.6"}}}))
        assert await admitted(kept, send("0.2")) is None
        assert await admitted(kept, send("0.1")) is not None
        kept.follow(routing("http://a/v1"))
        assert Purse(kept, "acme").funds().month_usd is None


async def test_where_the_database_fails_nothing_under_a_budget_is_spent() -> None:
    broken = Database(MEMORY)  # Never opened: it has no tables.
    async with keeper(broken, month_usd="1") as kept:
        purse = Purse(kept, "acme")
        assert purse.hold(send("0.1"), CARD) is None
        await purse.lease(send("0.1"))
        assert purse.funds() == (0, 0)
        assert isinstance(purse.refusal(Quote(DOLLAR, DOLLAR)), BudgetUnavailable)
        await kept.read()
    with pytest.raises(ControlUnavailable):
        broken.run(lambda connection: spend.used_of(connection, "2026-11"))
    broken.close()


async def test_the_refusal_names_the_bound_what_is_left_and_when_it_renews(database: Database) -> None:
    async with keeper(database, month_usd="1") as kept:
        await admitted(kept, send("0.75"))
        error = Purse(kept, "acme").refusal(Quote(DOLLAR, DOLLAR))
        assert isinstance(error, BudgetExhausted)
        assert error.status == 402
        for words in ("$1 ", "$0.25 left", "could cost $1", f"{renewal(clock.utc_now()):%Y-%m-%dT%H:%M:%SZ}"):
            assert words in error.message
        unpriced = Purse(kept, "acme").refusal(Quote(None, None))
        assert "No price is known" in unpriced.message


UNKNOWN = {"completeness": Completeness.UNKNOWN, "outcome": Outcome.CANCELLED, "http_status": 0}
COSTS: dict[str, tuple[dict[str, Any], str | None]] = {
    "measured": ({}, "0.002"),
    "a fallback that was refused before a byte": ({"outcome": Outcome.REFUSED, "http_status": 0}, "0"),
    "refused with a 429": ({**UNKNOWN, "http_status": 429}, "0"),
    "failed with a 500": ({**UNKNOWN, "http_status": 500}, "0"),
    "cancelled before its answer": (UNKNOWN, None),
    "cancelled with running usage, a floor": ({"completeness": Completeness.ESTIMATED}, None),
    "answered without usage": ({"completeness": Completeness.UNKNOWN, "usage": NO_USAGE}, None),
    "answered with tokens of no known price": ({"usage": Usage(cache_read=5)}, None),
}


@pytest.mark.parametrize("case", COSTS)
def test_the_worst_case_stays_reserved_where_the_vendor_may_bill_what_is_not_known(case: str) -> None:
    changes, cost = COSTS[case]
    over = attempt(**{"usage": Usage(input_uncached=1000, output=500), **changes})
    assert cost_usd(over, CARD) == (None if cost is None else Decimal(cost))
    if cost == "0.002":
        assert cost_usd(over, None) is None


def test_another_processing_tier_costs_what_its_own_card_says_or_else_the_worst_case() -> None:
    """A vendor's priority tier can cost twice the list price."""
    over = attempt(intent(model="m0"), usage=Usage(input_uncached=1000), service_tier="priority")
    dear = replace(CARD, processing_tier="priority", per_million={TokenClass.INPUT_UNCACHED: 3 * DOLLAR})
    assert cost_usd(over, CARD, RateBook([CARD, dear])) == Decimal("0.003")
    assert cost_usd(over, CARD, RateBook([CARD])) is None
    assert cost_usd(replace(over, service_tier="default"), CARD, RateBook([CARD])) == Decimal("0.001")


@pytest.mark.parametrize(
    ("now", "at"), [("2026-11-30T23:59:59+00:00", "2026-12-01"), ("2026-12-31T23:00:00-02:00", "2027-02-01")]
)
def test_a_month_is_a_calendar_month_in_utc(now: str, at: str) -> None:
    assert f"{renewal(datetime.fromisoformat(now)):%Y-%m-%d}" == at


amounts = st.decimals(0, 20, places=12, allow_nan=False)


@given(limit=amounts, asked=st.lists(st.tuples(amounts, amounts), max_size=12))
def test_leases_never_pass_the_limit_and_are_all_given_or_none(
    limit: Decimal, asked: list[tuple[Decimal, Decimal]]
) -> None:
    database = Database(MEMORY)
    database.open()
    total = Decimal(0)
    for least, more in asked:

        def take(least: Decimal = least, more: Decimal = more) -> Callable[..., tuple[Decimal, Decimal]]:
            return lambda connection: spend.lease(
                connection, "b", "2026-11", limit=limit, least=least, wanted=least + more
            )

        taken, by_all = database.run(take())
        assert taken == 0 or taken >= least
        total += taken
        assert by_all == total <= limit
    assert database.run(lambda connection: spend.add(connection, "b", "2026-11", -total)) == 0
    assert database.run(lambda connection: spend.add(connection, "b", "2026-11", -DOLLAR)) == 0, "never below zero"
    database.close()
