"""Spend as finance sees it: exact sums, filters, half-open windows, and totals that say what they leave out."""

from datetime import date
from decimal import Decimal

import pytest

from analytics import rate_cards, spend
from analytics.windows import Window, month_window
from gateway.domain.usage import Usage
from sql import clients
from tests.analytics.landed import attempt, land, told_later
from tests.analytics.recon_builders import card, instant
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

NOVEMBER = month_window("2026-11")
NOW = instant("2026-11-20")
COST = Decimal("0.00021")
"""1000 input and 100 output tokens: 0.00015 + 0.00006."""


@pytest.fixture(autouse=True)
def _cards(writer):
    rate_cards.load(writer, [card()], now=NOW)


def test_spend_is_summed_by_day_and_depth_to_the_last_digit(writer, reader):
    land(
        writer,
        attempt("2026-11-03T23:59:59.999999"),
        attempt("2026-11-04"),
        attempt("2026-11-04", fallback_depth=1, usage=Usage(output=1)),
    )
    frame = spend.by_day_depth(reader, NOVEMBER)
    assert frame.select("day", "fallback_depth", "cost_usd", "attempts").rows() == [
        (date(2026, 11, 3), 0, COST, 1),
        (date(2026, 11, 4), 0, COST, 1),
        (date(2026, 11, 4), 1, Decimal("0.0000006"), 1),
    ]


def test_a_window_is_half_open(writer, reader):
    land(
        writer,
        attempt("2026-10-31T23:59:59.999999"),
        attempt("2026-11-01"),
        attempt("2026-11-30T23:59:59.999999"),
        attempt("2026-12-01"),
    )
    assert spend.kpis(reader, NOVEMBER).current.attempts == 2


def test_a_request_with_two_attempts_is_one_request_where_it_was_tried_first(writer, reader):
    first = attempt(outcome="timeout", completeness="unknown")
    second = attempt(fallback_depth=1, attempt_index=1)
    land(writer, first, second)
    assert spend.by_alias_tenant(reader, NOVEMBER).select("requests", "attempts").rows() == [(1, 2)]
    assert spend.by_day_depth(reader, NOVEMBER)["requests"].to_list() == [1, 0]


def test_each_member_of_a_micro_batch_is_a_request(writer, reader):
    land(writer, attempt(batch_size=8), attempt(batch_size=1))
    now = spend.kpis(reader, NOVEMBER).current
    assert (now.requests, now.attempts) == (9, 2)


@pytest.mark.parametrize(
    "left",
    [
        {"outcome": "ok", "finish_reason": "queued"},
        {"outcome": "cancelled", "finish_reason": "in_progress"},
        {"outcome": "lost", "finish_reason": ""},
    ],
    ids=str,
)
def test_a_response_whose_usage_is_told_later_is_one_measured_attempt(writer, reader, left):
    began = attempt(completeness="unknown", route="/v1/responses", **left)
    land(writer, began)
    before = spend.kpis(reader, NOVEMBER).current
    assert (before.requests, before.attempts, before.unmeasured, before.cost_usd) == (1, 1, 1, 0)
    land(writer, told_later(began))
    now = spend.kpis(reader, NOVEMBER).current
    assert (now.requests, now.attempts, now.unmeasured, now.cost_usd) == (1, 1, 0, COST)
    for frame in (spend.breakdown, spend.by_alias_tenant, spend.by_day_depth):
        assert frame(reader, NOVEMBER).select("attempts", "unmeasured", "cost_usd").rows() == [(1, 0, COST)]


def test_a_response_that_was_cut_before_a_retry_stays_unmeasured(writer, reader):
    """The vendor may bill both: only what was told later, of the one that the client knows, takes a place."""
    cut = attempt(completeness="unknown", route="/v1/responses", outcome="timeout")
    same = {name: cut[name] for name in ("trace_id", "parent_span_id")}
    land(writer, cut, attempt(route="/v1/responses", attempt_index=1, **same))
    now = spend.kpis(reader, NOVEMBER).current
    assert (now.attempts, now.unmeasured) == (2, 1)


@pytest.mark.parametrize(
    ("changes", "unmeasured", "unpriced", "partial"),
    [
        ({}, 0, 0, "0"),
        ({"outcome": "cancelled", "completeness": "unknown"}, 1, 0, "0"),
        ({"outcome": "cancelled", "completeness": "estimated", "usage": Usage(output=10)}, 1, 0, "0.000006"),
        ({"outcome": "lost", "completeness": "unknown"}, 1, 0, "0"),
        ({"outcome": "error", "completeness": "unknown", "http_status": 429}, 0, 0, "0"),
        ({"outcome": "error", "completeness": "unknown", "error_type": "connect_error"}, 0, 0, "0"),
        ({"outcome": "error", "completeness": "unknown", "error_type": "stream_broken", "http_status": 200}, 1, 0, "0"),
        ({"outcome": "refused", "completeness": "unknown"}, 0, 0, "0"),
        ({"model": "unheard-of"}, 0, 1, "0"),
        ({"usage": Usage(output=1, cache_write_1h=1)}, 0, 1, "0"),  # The card has no price for cache writes.
    ],
)
def test_a_total_says_when_it_is_a_floor(writer, reader, changes, unmeasured, unpriced, partial):
    land(writer, attempt(**changes))
    (row,) = spend.by_alias_tenant(reader, NOVEMBER).iter_rows(named=True)
    assert (row["unmeasured"], row["unpriced"], row["partial_cost_usd"]) == (unmeasured, unpriced, Decimal(partial))
    assert row["is_floor"] == bool(unmeasured or unpriced)
    assert row["cost_usd"] == (0 if changes else COST)
    assert spend.kpis(reader, NOVEMBER).current.is_floor == row["is_floor"]


def test_partial_tokens_are_never_counted_as_metered(writer, reader):
    land(writer, attempt(outcome="cancelled", completeness="estimated", usage=Usage(output=10)))
    assert spend.by_alias_tenant(reader, NOVEMBER)["output"].to_list() == [0]


def test_filters_narrow_and_none_means_all(writer, reader):
    land(
        writer,
        attempt(tenant="acme", alias="fast", provider="openai", account="org-main"),
        attempt(tenant="acme", alias="smart", provider="other", account="org-eu"),
        attempt(tenant="it's; DROP", alias="fast", provider="openai", account="org-main"),
    )

    def attempts(**chosen: list[str]) -> int:
        return int(spend.breakdown(reader, NOVEMBER, spend.Filters(**chosen))["attempts"].sum())

    assert attempts() == 3
    assert attempts(tenants=["acme"]) == 2
    assert attempts(tenants=["it's; DROP"]) == 1
    assert attempts(tenants=["acme", "it's; DROP"], aliases=["fast"]) == 2
    assert attempts(providers=["other"]) == attempts(accounts=["org-eu"]) == 1
    assert attempts(tenants=["nobody"]) == 0


def test_the_breakdown_has_all_four_keys_and_sums_to_the_total(writer, reader):
    land(writer, *(attempt(f"2026-11-0{1 + i % 3}", tenant=f"t{i % 2}", fallback_depth=i % 2) for i in range(12)))
    frame = spend.breakdown(reader, NOVEMBER)
    assert frame.columns[:4] == ["alias", "tenant", "fallback_depth", "day"]
    assert frame["cost_usd"].sum() == spend.kpis(reader, NOVEMBER).current.cost_usd == 12 * COST


def test_the_figures_of_a_window_stand_beside_those_of_the_one_before(writer, reader):
    land(
        writer,
        attempt("2026-10-31"),
        attempt("2026-11-03", usage=Usage(input_uncached=1, cache_read=1000, output=2, reasoning=3)),
        attempt("2026-11-03", fallback_depth=2),
        attempt("2026-11-03", outcome="cancelled", completeness="unknown"),
    )
    found = spend.kpis(reader, NOVEMBER)
    assert found.previous == spend.kpis(reader, month_window("2026-10")).current
    assert (found.previous.cost_usd, found.previous.attempts) == (COST, 1)
    assert found.current.fallback_cost_usd == COST
    assert found.current.cost_usd == COST + Decimal("0.00007815")
    assert found.current.cache_saving_usd == Decimal("0.000075")
    assert (found.current.input_tokens, found.current.cache_read_tokens, found.current.output_tokens) == (
        2001,
        1000,
        105,
    )
    assert (found.current.cancelled, found.current.unmeasured, found.current.requests) == (1, 1, 3)


def test_a_window_without_traffic_is_zeros_and_no_rows(reader):
    found = spend.kpis(reader, NOVEMBER).current
    assert (found.cost_usd, found.cache_saving_usd, found.attempts, found.is_floor) == (0, 0, 0, False)
    assert spend.breakdown(reader, NOVEMBER).is_empty()
    assert spend.choices(reader, NOVEMBER) == spend.Choices((), (), (), ())


def test_choices_are_what_occurs_sorted(writer, reader):
    land(writer, attempt(tenant="b"), attempt(tenant="a", alias="smart"), attempt("2026-12-01", tenant="later"))
    found = spend.choices(reader, NOVEMBER)
    assert (found.tenants, found.aliases, found.providers) == (("a", "b"), ("fast", "smart"), ("openai",))


async def test_the_async_twins_give_the_same(store: RunningStore, writer, reader):
    land(writer, attempt(), attempt(outcome="lost", completeness="unknown"))
    client = await clients.async_reader(store.url, store.password("reader"))
    try:
        assert await spend.akpis(client, NOVEMBER) == spend.kpis(reader, NOVEMBER)
        assert await spend.achoices(client, NOVEMBER) == spend.choices(reader, NOVEMBER)
        for twin, plain in [
            (spend.aby_day_depth, spend.by_day_depth),
            (spend.aby_alias_tenant, spend.by_alias_tenant),
            (spend.abreakdown, spend.breakdown),
        ]:
            assert (await twin(client, NOVEMBER)).equals(plain(reader, NOVEMBER))
    finally:
        await client.close()


def test_windows_refuse_what_is_no_span_of_time():
    with pytest.raises(ValueError, match="aware"):
        Window(instant("2026-11-01").replace(tzinfo=None), instant("2026-11-02"))
    with pytest.raises(ValueError, match="empty"):
        Window(instant("2026-11-01"), instant("2026-11-01"))
