"""Rollups say what the facts say, to the last digit: late spans, new cards, crashes and open hours included."""

import random
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from clickhouse_connect.driver.client import Client

import sql
from analytics import rate_cards, rollups, spend
from analytics.rollups import plan, rebuild
from analytics.rollups.rebuild import RollupContested, catch_up
from analytics.windows import Window, month_window
from gateway.domain.usage import Usage
from tests.analytics.landed import attempt, land, told_later
from tests.analytics.recon_builders import card, instant

pytestmark = pytest.mark.slow

NOW = instant("2026-11-20T14:40")
"""The hour from 14:00 is open."""
COST = Decimal("0.00021")
"""Of one attempt by the card."""
ASKED = (
    (Window(instant("2026-08-01"), NOW), spend.ALL),
    (Window(instant("2026-09-17T10:30"), instant("2026-11-20T13:20")), spend.Filters(tenants=["acme", "it's"])),
    (month_window("2026-10"), spend.Filters(aliases=["fast"], providers=["openai"])),
    (Window(instant("2026-11-20T13:00"), NOW), spend.ALL),
)
TABLES = ("rollup_hours", "rollup_days", "rollup_totals", "rollup_months")


@pytest.fixture(autouse=True)
def _cards(writer):
    rate_cards.load(writer, [card()], now=NOW)


DAYS = ("08-31", "09-17", "09-30", "10-01", "10-31", "11-01", "11-18", "11-19", "11-20", "11-20")


def drawn(seed: int, attempts: int) -> list[dict[str, object]]:
    draw = random.Random(seed)
    rows = []
    for _ in range(attempts):
        outcome = draw.choice(["ok"] * 6 + ["error", "timeout", "cancelled", "lost", "refused"])
        known = "measured" if outcome == "ok" else draw.choice(["unknown", "estimated"])
        tokens = Usage() if known == "unknown" else Usage(
            input_uncached=draw.randrange(5000), cache_read=draw.randrange(3) * 777, output=draw.randrange(900)
        )  # fmt: skip
        depth = draw.choice([0, 0, 0, 1, 2])
        rows.append(
            attempt(
                instant(f"2026-{draw.choice(DAYS)}") + timedelta(hours=14.65 * draw.random()),
                received_at=NOW,
                outcome=outcome,
                completeness=known,
                usage=tokens,
                tenant=draw.choice(["acme", "zeta", "it's"]),
                alias=draw.choice(["fast", "smart"]),
                fallback_depth=depth,
                attempt_index=depth,
                model=draw.choice(["gpt-4o-mini", "gpt-4o-mini", "unheard-of"]),
                batch_size=1,
                finish_reason="",
                duration_seconds=draw.random() * 9,
                first_token_seconds=draw.choice([None, 0.5]),
            )
        )
    return rows


def answers(reader: Client, window: Window, filters: spend.Filters) -> list[object]:
    frames = (spend.by_day_depth, spend.by_alias_tenant, spend.breakdown)
    rows = [frame(reader, window, filters).rows() for frame in frames]
    return [*rows, spend.kpis(reader, window, filters), spend.choices(reader, window)]


def test_every_answer_is_the_same_from_rollups_as_from_the_facts(writer, reader):
    land(writer, *drawn(1, 300))
    left = attempt("2026-11-04", completeness="unknown", finish_reason="queued", route="/v1/responses")
    land(writer, left)
    catch_up(writer, now=NOW - timedelta(hours=3))
    land(writer, *drawn(2, 60))  # Late, and the hours since.
    land(writer, told_later(left))  # Made the evening before, by the vendor's clock: both days are to be rebuilt.
    done = catch_up(writer, now=NOW)
    assert (done.hours, done.months) > (0, 0)
    rolled_up = [answers(reader, window, filters) for window, filters in ASKED]
    assert rollups.reach(reader).months_until == instant("2026-11-01")
    for table in TABLES:
        writer.command(f"TRUNCATE TABLE tollway.{table}")
    assert [answers(reader, window, filters) for window, filters in ASKED] == rolled_up


def test_what_is_right_is_not_rebuilt(writer):
    land(writer, attempt("2026-10-03T10:00"), attempt("2026-11-20T13:10"))
    assert catch_up(writer, now=NOW)
    assert not catch_up(writer, now=NOW)
    assert not catch_up(writer, now=NOW, whole=False)


def test_a_late_span_rebuilds_its_day_and_no_other(writer, reader):
    land(writer, attempt("2026-11-03T10:00"), attempt("2026-11-04T10:00"), attempt("2026-11-19T10:00"))
    catch_up(writer, now=NOW)
    before = built(writer)
    land(writer, attempt("2026-11-19T10:59:59", received_at=NOW))
    assert catch_up(writer, now=NOW, whole=False) == rebuild.Rebuilt(hours=1, days=1, totals=1)
    after = built(writer)
    assert {part for part in after if after[part] != before.get(part)} == {
        ("rollup_hours", "2026-11-19"), ("rollup_days", "202611"), ("rollup_totals", "202611")
    }  # fmt: skip
    assert spend.kpis(reader, month_window("2026-11")).current.attempts == 4


def built(client: Client) -> dict[tuple[str, str], str]:
    rows = client.query(
        "SELECT table, partition, any(name || toString(modification_time) || hash_of_all_files) FROM system.parts "
        "WHERE active AND table LIKE 'rollup%' AND table NOT LIKE '%_next' GROUP BY table, partition"
    ).result_rows
    return {(table, partition): what for table, partition, what in rows}


def test_other_cards_rate_again_the_days_that_they_touch(writer, reader):
    land(writer, attempt("2026-10-03"), attempt("2026-11-03", model="new"), attempt("2026-11-20T12:00", model="new"))
    catch_up(writer, now=NOW)
    assert spend.kpis(reader, month_window("2026-11")).current.unpriced == 2
    later = card(model="new", since="2026-11-10")
    rate_cards.load(writer, [card(), later], now=NOW)
    assert catch_up(writer, now=NOW).months == 0
    found = spend.kpis(reader, month_window("2026-11")).current
    assert (found.unpriced, found.cost_usd) == (1, COST)


def test_killed_before_any_statement_no_answer_is_half_and_the_next_turn_goes_on(writer, reader):
    land(writer, attempt("2026-10-03"))
    catch_up(writer, now=NOW)
    for late, statement in enumerate((1, 3, 4, 7, 8, 10, 11, 13), start=1):
        land(writer, attempt("2026-10-03", received_at=NOW))
        with suppress(Killed):
            catch_up(Dying(writer, statement), now=NOW)
            pytest.fail("it ended before it was killed")
        frame = spend.by_alias_tenant(reader, month_window("2026-10"))
        (found,) = frame.select("attempts", "cost_usd").rows()
        assert found in [(n, n * COST) for n in range(1, late + 2)]
    catch_up(writer, now=NOW)
    assert spend.by_alias_tenant(reader, month_window("2026-10"))["attempts"].to_list() == [9]
    assert not catch_up(writer, now=NOW)


class Killed(Exception):
    """The process is gone."""


class Dying:
    """A client whose process is killed before its nth statement that changes something."""

    def __init__(self, client: Client, statement: int) -> None:
        self._client = client
        self._left = statement

    def command(self, *given, **named):
        self._left -= 1
        if not self._left:
            raise Killed
        return self._client.command(*given, **named)

    def __getattr__(self, name: str):
        return getattr(self._client, name)


def test_a_day_whose_facts_are_gone_keeps_its_rollup(writer, reader):
    land(writer, attempt("2026-10-03"), attempt("2026-10-03"))
    catch_up(writer, now=NOW)
    writer.command("TRUNCATE TABLE tollway.spans")
    land(writer, attempt("2026-10-03"))
    assert not catch_up(writer, now=NOW)
    assert spend.kpis(reader, month_window("2026-10")).current.attempts == 2


@pytest.mark.parametrize("made", [1, 2])
def test_rows_that_a_replay_put_in_the_place_of_others_are_rolled_up_again(writer, reader, made):
    """As many as before, or fewer: the new mapping may take something for no attempt."""
    land(writer, attempt("2026-10-04"), *(attempt("2026-10-03", alias="mistaken", batch_id="b") for _ in range(2)))
    catch_up(writer, now=NOW)
    writer.command("ALTER TABLE tollway.spans DELETE WHERE batch_id = 'b' SETTINGS mutations_sync = 2")
    land(writer, *(attempt("2026-10-03", alias="fast", batch_id="b~1") for _ in range(made)))
    sql.execute(writer, "replay_record", batch_ids=["b~1"], replaced=["b"], now=NOW)
    assert catch_up(writer, now=NOW) == rebuild.Rebuilt(hours=1, days=1, totals=1, months=1)
    for table in TABLES:
        cells = "SELECT alias, sum(attempts) FROM tollway.{cells:Identifier} GROUP BY alias"
        rows = writer.query(cells, parameters={"cells": table}).result_rows
        assert rows == [("fast", made + 1)], table
    assert not catch_up(writer, now=NOW)
    assert writer.query("SELECT day, replaced, spans FROM tollway.replays").result_rows == [
        (instant("2026-10-03").date(), "b", made)
    ]


def test_cells_of_a_second_worker_are_found_before_the_swap(writer, monkeypatch):
    land(writer, attempt("2026-11-03"))
    build = rebuild._build_from_facts

    def twice(*given):
        build(*given)
        build(*given)

    monkeypatch.setattr(rebuild, "_build_from_facts", twice)
    with pytest.raises(RollupContested, match="holds 2 attempts, not 1 to 1"):
        catch_up(writer, now=NOW)
    assert rollups.reach(writer) == rollups.Reach()


def test_a_clock_that_is_off_is_counted_and_stretches_nothing(writer, reader):
    land(writer, attempt("1970-01-01T00:00:01"), attempt("2026-11-03"), attempt("2200-01-01"))
    catch_up(writer, now=NOW)
    assert sql.fetch(writer, "rollup_days_built", since=plan.EARLIEST, until=NOW)["days"].to_list() == [1]
    for_ever = Window(instant("1969-12-31"), instant("2201-01-01"))
    assert spend.by_alias_tenant(reader, for_ever)["attempts"].to_list() == [3]
