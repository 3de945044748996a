"""The demo's report in JSON and in words, the month it is about, and how an error of ours leaves the traffic."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from deploy.demo.report import DemoReport
from deploy.demo.run import DemoStopped, first_of, month_of
from deploy.demo.traffic.replay import Tally
from deploy.demo.witness import CLASSES
from deploy.errors import OperatorError

REPORT = DemoReport(
    month="2026-11",
    data=Path("/data"),
    tally=Tally(requests=10, ok=7, cancelled=1, errors=Counter({"stream_broken": 2}), wall_s=1.23456),
    killed=["gateway"],
    attempts=12,
    attempts_by_outcome={"ok": 7, "error": 4, "cancelled": 1},
    fallbacks=2,
    spans_landed=22,
    duplicates=0,
    landed_s=2.0,
    metered=Decimal("0.300000000000000000"),
    invoiced=Decimal("0.310000"),
    variance_by_class=dict.fromkeys(CLASSES, Decimal("0E-18")) | {"CANCELLED_STREAM": Decimal("0.010000000")},
    expected_by_class=dict.fromkeys(CLASSES, Decimal(0)) | {"CANCELLED_STREAM": Decimal("0.01")},
    unexplained=Decimal("0E-18"),
    surcharge=Decimal(0),
    books=[],
    invoices=[Path("/data/invoices/cost.csv")],
    files=[Path("/data/exports/2026-11/manifest.json")],
    urls={"gateway": "http://127.0.0.1:8080/v1"},
)


def test_money_is_plain_normalised_text_and_all_of_it_is_json() -> None:
    plain = json.loads(json.dumps(REPORT.plain()))
    assert (plain["metered_usd"], plain["invoiced_usd"], plain["unexplained_usd"]) == ("0.3", "0.31", "0")
    assert plain["variance_by_class"] == plain["expected_by_class"]
    assert plain["variance_by_class"]["CANCELLED_STREAM"] == "0.01"
    assert plain["variance_by_class"]["RATE"] == "0"
    assert plain["files"] == ["/data/exports/2026-11/manifest.json"]
    assert (plain["requests"], plain["killed"], plain["books"]) == (10, ["gateway"], [])


def test_it_is_as_expected_only_when_every_promise_was_kept() -> None:
    assert REPORT.as_expected
    assert not replace(REPORT, duplicates=1).as_expected
    assert not replace(REPORT, books=["a has 2 attempt rows"]).as_expected
    assert not replace(REPORT, expected_by_class=dict.fromkeys(CLASSES, Decimal(0))).as_expected


def test_the_words_say_where_the_vendors_disagree_and_otherwise_nothing_of_them() -> None:
    assert "ledgers say" not in "\n".join(REPORT.words())
    wrong = replace(REPORT, expected_by_class=dict(REPORT.expected_by_class) | {"VOLUME": Decimal("0.5")})
    (line,) = [line for line in wrong.words() if "ledgers say" in line]
    assert line.split() == ["VOLUME", "0", "the", "vendors'", "own", "ledgers", "say", "0.5"]
    assert "a has 2 attempt rows" in replace(REPORT, books=["a has 2 attempt rows"]).words()


@pytest.mark.parametrize(
    ("now", "name", "first_day", "until"),
    [
        ("2026-11-23T05:00:00+00:00", "2026-11", "2026-11-01", "2026-11-24"),
        ("2026-12-01T00:30:00+01:00", "2026-11", "2026-11-01", "2026-12-01"),
        ("2026-12-31T23:59:59+00:00", "2026-12", "2026-12-01", "2027-01-01"),
    ],
)
def test_the_month_is_utcs_and_ends_with_the_day(now: str, name: str, first_day: str, until: str) -> None:
    month = month_of(datetime.fromisoformat(now))
    assert month.name == name
    assert month.since == datetime.fromisoformat(first_day).replace(tzinfo=UTC)
    assert month.until == datetime.fromisoformat(until).replace(tzinfo=UTC)


def test_an_error_of_ours_is_found_in_a_group_and_others_are_not_mistaken_for_it() -> None:
    stopped = DemoStopped("stopped")
    group = ExceptionGroup("a", [ValueError("b"), ExceptionGroup("c", [KeyError("d"), stopped])])
    assert first_of(group, OperatorError) is stopped
    assert first_of(ExceptionGroup("a", [ValueError("b")]), OperatorError) is None
