"""A small month on a real store: attempts land, cards and an invoice are loaded, and each cent has its class."""

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from clickhouse_connect.driver.client import Client

from analytics import rate_cards
from analytics.economic.table import management_costs
from analytics.exports import FolderTaken, draft, render, write
from analytics.invoices import import_file
from analytics.pack import UNSIGNED
from analytics.reconciliation import VarianceClass, areconcile_month, reconcile_month
from analytics.windows import MonthInvalid
from gateway.domain.money import plain
from gateway.domain.usage import Usage
from sql import clients
from tests.analytics.invoice_files import csv_file, empty_bucket, row
from tests.analytics.landed import attempt, land, told_later
from tests.analytics.recon_builders import DAY, IN, OUT, card, instant
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

NOW = instant("2026-11-20")
MONTH = "2026-11"
CARDS = [card(), card({IN: "0.30", OUT: "0.60"}, account="org-eu")]
SNAPSHOT = "gpt-4o-mini-2024-07-18"


def settle(writer: Client, folder: Path) -> None:
    """One day with a cause of every class but RATE and UNTRACKED_CHARGE; another with those two."""
    rate_cards.load(writer, CARDS, now=NOW)
    next_day = "2026-11-04T12:00"
    land(
        writer,
        attempt(usage=Usage(input_uncached=1000, output=100), response_model=SNAPSHOT),
        attempt(tenant="globex", usage=Usage(input_uncached=3000, output=300, reasoning=50), response_model=SNAPSHOT),
        attempt(outcome="cancelled", completeness="estimated", usage=Usage(input_uncached=1000, output=40)),
        attempt(
            outcome="error", completeness="estimated", usage=Usage(input_uncached=500, output=20),
            error_type="stream_broken", http_status=200,
        ),
        attempt(tenant="globex", fallback_depth=1, fallback_reason="stream_broken", attempt_index=1, queue_seconds=0.5),
        attempt(outcome="error", completeness="unknown", error_type="rate_limited", http_status=429),
        attempt(outcome="refused", completeness="unknown", error_type="breaker_open"),
        attempt(outcome="ok", completeness="unknown", max_output_tokens=0, request_bytes=900),
        attempt(next_day, usage=Usage(input_uncached=10_000)),
        attempt("2026-11-05", usage=Usage(output=7)),
    )  # fmt: skip
    november_4 = DAY + timedelta(days=1)
    rows = [
        # Metered 5000, seen by the cancelled one 1000 and by the broken one 500, and 800 of the silent one: 7300.
        row("0.001095", "7300", f"{SNAPSHOT}, input"),
        # Metered 550; 40 and 20 seen, 200 silent, and a surcharge of 0.000100: 810 tokens cost 0.000486.
        row("0.000586", "810", f"{SNAPSHOT}, output"),
        row("0.003000", "10000", "gpt-4o-mini, input", day=november_4),
        row("0.010000", "500", "gpt-4o, output", day=november_4),
        empty_bucket(DAY + timedelta(days=2)),
    ]
    import_file(writer, csv_file(folder, *rows), provider="openai", account="org-main", now=NOW)


@pytest.fixture
def month(writer: Client, tmp_path: Path) -> Path:
    settle(writer, tmp_path)
    return tmp_path


def test_a_month_has_its_classes_to_the_last_digit(month, reader):
    found = reconcile_month(reader, MONTH, now=NOW)
    assert set(found.by_class) == set(VarianceClass)
    assert {name.value: plain(amount) for name, amount in found.by_class.items() if amount} == {
        "RATE": "0.0015",
        "VOLUME": "0.00024",  # 800 x 0.00000015 + 200 x 0.0000006
        "UNTRACKED_CHARGE": "0.01",
        "UNBILLED_USAGE": "-0.0000042",
        "CANCELLED_STREAM": "0.000174",
        "RETRY_OR_FALLBACK": "0.000087",
        "UNEXPLAINED": "0.0001",
    }
    assert found.variance == sum(found.by_class.values()) == found.invoiced - found.metered
    assert found.unexplained == Decimal("0.0001")


def test_the_evidence_names_attempts_and_cards(month, reader):
    found = reconcile_month(reader, MONTH, now=NOW)
    parts = {part.variance_class: part for line in found.lines for part in line.parts}
    assert parts[VarianceClass.RATE].evidence.card_id == CARDS[1].card_id
    assert parts[VarianceClass.CANCELLED_STREAM].evidence.attempts == 1
    ids = parts[VarianceClass.VOLUME].evidence.attempt_ids
    asked = "SELECT completeness, outcome FROM tollway.attempts WHERE attempt_id = {id:String}"
    assert reader.query(asked, parameters={"id": ids[0]}).result_rows == [("unknown", "ok")]
    assert set(found.card_ids) == {each.card_id for each in CARDS}


def test_an_account_is_summed_up_with_what_it_leaves_out(month, reader):
    (account,) = reconcile_month(reader, MONTH, now=NOW).accounts
    assert (account.provider, account.account, account.status) == ("openai", "org-main", "within_tolerance")
    assert (account.invoiced_days, account.billed_rows, account.tolerance) == (3, 4, 1)
    assert (account.unmeasured, account.unpriced) == (3, 0)


def test_what_a_vendor_bills_for_the_loser_of_a_hedge_is_a_cancelled_stream_and_nothing_is_unexplained(
    writer, reader, tmp_path
):
    rate_cards.load(writer, CARDS, now=NOW)
    lost = attempt(outcome="cancelled", completeness="unknown", error_type="hedge_lost", http_status=200)
    won = attempt(account="org-eu", fallback_depth=1, fallback_reason="hedge", attempt_index=1)
    land(writer, lost, won)
    of_loser = [row("0.000150", "1000", "gpt-4o-mini, input"), row("0.000012", "20", "gpt-4o-mini, output")]
    import_file(writer, csv_file(tmp_path, *of_loser), provider="openai", account="org-main", now=NOW)
    of_winner = [row("0.000300", "1000", "gpt-4o-mini, input"), row("0.000060", "100", "gpt-4o-mini, output")]
    import_file(writer, csv_file(tmp_path, *of_winner), provider="openai", account="org-eu", now=NOW)
    found = reconcile_month(reader, MONTH, now=NOW)
    assert {name.value: plain(amount) for name, amount in found.by_class.items() if amount} == {
        "CANCELLED_STREAM": "0.000162"
    }
    [part] = {part.evidence.attempt_ids for line in found.lines for part in line.parts}
    assert part == (lost["attempt_id"],)


def test_an_account_without_an_invoice_says_so_and_its_usage_is_unbilled(writer, reader):
    rate_cards.load(writer, CARDS, now=NOW)
    land(writer, attempt(account="local"))
    found = reconcile_month(reader, MONTH, now=NOW)
    assert [account.status for account in found.accounts] == ["no_invoice"]
    assert found.by_class[VarianceClass.UNBILLED_USAGE] == -found.metered == Decimal("-0.00021")


def test_what_began_a_background_response_is_evidence_only_until_its_end_is_in_the_store(writer, reader, tmp_path):
    """1000 tokens in and 100 out are billed once: for the end that was metered, not for the call that began it."""
    rate_cards.load(writer, CARDS, now=NOW)
    began = attempt(completeness="unknown", finish_reason="queued", response_id="", route="/v1/responses")
    rows = [row("0.000150", "1000", "gpt-4o-mini, input"), row("0.000060", "100", "gpt-4o-mini, output")]
    import_file(writer, csv_file(tmp_path, *rows), provider="openai", account="org-main", now=NOW)
    land(writer, began)
    before = reconcile_month(reader, MONTH, now=NOW)
    assert (before.by_class[VarianceClass.VOLUME], before.accounts[0].unmeasured) == (Decimal("0.00021"), 1)
    land(writer, told_later(began))
    after = reconcile_month(reader, MONTH, now=NOW)
    assert after.variance == 0
    assert (after.accounts[0].unmeasured, after.by_class[VarianceClass.VOLUME]) == (0, 0)
    surplus = [row("0.000300", "2000", "gpt-4o-mini, input"), rows[1]]
    import_file(
        writer, csv_file(tmp_path, *surplus), provider="openai", account="org-main", now=NOW + timedelta(hours=1)
    )
    assert reconcile_month(reader, MONTH, now=NOW).by_class[VarianceClass.VOLUME] == 0, "it explains no surplus"


def test_a_batch_is_metered_at_the_batch_cards_price_and_without_one_is_unpriced(writer, reader, tmp_path):
    half = card({IN: "0.075", OUT: "0.30"}, processing_tier="batch")
    rate_cards.load(writer, [card(), half], now=NOW)
    land(writer, attempt(service_tier="default"), attempt(service_tier="batch"))
    # 2000 tokens in and 200 out, half of each at half the price.
    rows = [row("0.000225", "2000", "gpt-4o-mini, input"), row("0.000090", "200", "gpt-4o-mini, output")]
    import_file(writer, csv_file(tmp_path, *rows), provider="openai", account="org-main", now=NOW)
    found = reconcile_month(reader, MONTH, now=NOW)
    assert (found.metered, found.accounts[0].unpriced) == (Decimal("0.000315"), 0)
    assert (found.variance, {k: v for k, v in found.by_class.items() if v}) == (0, {})
    rate_cards.load(writer, [card()], now=NOW)
    found = reconcile_month(reader, MONTH, now=NOW)
    assert (found.metered, found.accounts[0].unpriced) == (Decimal("0.00021"), 1)


def test_only_the_month_itself_counts(writer, reader, tmp_path):
    rate_cards.load(writer, CARDS, now=NOW)
    land(writer, attempt("2026-10-31T23:59:59.999999"), attempt("2026-12-01"))
    rows = [row(day=date(2026, 10, 31)), row(day=date(2026, 12, 1))]
    import_file(writer, csv_file(tmp_path, *rows), provider="openai", account="org-main", now=NOW)
    assert reconcile_month(reader, MONTH, now=NOW).lines == ()


def test_a_month_that_has_not_begun_is_refused(reader):
    with pytest.raises(MonthInvalid, match="2026-12 has not begun"):
        reconcile_month(reader, "2026-12", now=NOW)
    with pytest.raises(MonthInvalid, match="write it as 2026-11"):
        reconcile_month(reader, "11/2026", now=NOW)


async def test_the_async_twin_gives_the_same(month, store: RunningStore, reader):
    client = await clients.async_reader(store.url, store.password("reader"))
    try:
        assert await areconcile_month(client, MONTH, now=NOW) == reconcile_month(reader, MONTH, now=NOW)
    finally:
        await client.close()


GOLDEN = Path(__file__).parent / "golden_month"


def no_hosts(client, window, spent, now):
    """Owners' costs where nobody waits at a price and no host is rented."""
    return management_costs(spent, (), (), {})


def write_month(client, month, folder, *, now):
    """The pack of a month that nobody has signed."""
    made = render(draft(client, month, no_hosts, now=now), UNSIGNED, {}, tool="tollway test")
    write(made, folder)
    return made


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_pack_is_what_it_was_to_the_byte(month, reader):
    """The golden files name attempts by ids that differ between runs; those are written as `*`."""
    write_month(reader, MONTH, month / "pack", now=NOW)
    for path in sorted(GOLDEN.iterdir()):
        assert _without_ids((month / "pack" / path.name).read_bytes()) == path.read_bytes(), path.name


def test_two_runs_give_the_same_bytes_whenever_they_run(month, reader):
    write_month(reader, MONTH, month / "one", now=NOW)
    write_month(reader, MONTH, month / "two", now=NOW + timedelta(days=3))
    assert written(month / "one") == written(month / "two")
    assert sorted(written(month / "one")) == [
        "focus_billing_period.csv",
        "focus_cost_and_usage.csv",
        "focus_invoice_detail.csv",
        "manifest.json",
        "recon.xlsx",
        "recon_by_alias_tenant.csv",
        "recon_corrections.csv",
        "recon_exceptions.csv",
        "recon_lines.csv",
        "recon_summary.csv",
    ]


def test_the_manifest_holds_the_files_together(month, reader):
    made = write_month(reader, MONTH, month / "pack", now=NOW)
    content = json.loads((month / "pack" / "manifest.json").read_bytes())
    assert list(made.files) == [file["name"] for file in content["files"]] + ["manifest.json"]
    assert content["control_totals"]["invoiced"] == "0.014681"
    assert content["control_totals"]["var_unexplained"] == "0.0001"
    assert content["rate_cards"] == sorted(each.card_id for each in CARDS)


def test_what_was_invoiced_is_what_owners_are_charged(month, reader):
    write_month(reader, MONTH, month / "pack", now=NOW)
    frame = pl.read_csv(month / "pack" / "recon_by_alias_tenant.csv", infer_schema=False)
    charged = dict(
        zip(frame["tenant"] + "/" + frame["fallback_depth"].fill_null(""), frame["billed_cost"], strict=True)
    )
    assert sum(map(Decimal, charged.values())) == Decimal("0.014681")
    assert Decimal(charged["(unallocated)/"]) == Decimal("0.0101")
    assert Decimal(charged["globex/1"]) > 0


def test_a_month_without_anything_is_a_pack_of_headers(reader, tmp_path):
    made = write_month(reader, MONTH, tmp_path / "pack", now=NOW)
    assert {file["rows"] for file in json.loads(made.files["manifest.json"])["files"]} == {0, None}
    assert made.controls["invoiced"] == made.controls["billed"] == "0"


def test_a_pack_that_cannot_be_written_leaves_no_manifest_that_vouches_for_it(month, reader):
    pack = month / "pack"
    write_month(reader, MONTH, pack, now=NOW)
    (pack / "recon_lines.csv").unlink()
    (pack / "recon_lines.csv").mkdir()
    with pytest.raises(OSError, match="recon_lines"):
        write_month(reader, MONTH, pack, now=NOW)
    assert not (pack / "manifest.json").exists()


def test_names_that_would_run_as_formulas_are_guarded(writer, reader, tmp_path):
    rate_cards.load(writer, CARDS, now=NOW)
    land(writer, attempt(tenant="=HYPERLINK(1)"))
    write_month(reader, MONTH, tmp_path / "pack", now=NOW)
    assert b"\r\n'=HYPERLINK(1),fast," in (tmp_path / "pack" / "recon_by_alias_tenant.csv").read_bytes()


def _without_ids(content: bytes) -> bytes:
    named = re.sub(rb"attempts=[0-9a-f ]+", b"attempts=*", content)
    return re.sub(rb'"(bytes|sha256|figures_sha256)": "?\w+"?', rb'"\1": "*"', named)


def test_another_months_files_are_not_overwritten(store, tmp_path):
    store.empty()
    write_month(store.writer, "2026-10", tmp_path, now=NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FolderTaken, match="holds the files of 2026-10"):
        write_month(store.writer, "2026-11", tmp_path, now=NOW)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
