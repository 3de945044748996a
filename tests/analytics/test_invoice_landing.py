"""An invoice lands whole or not at all, once, and the newest import of an account speaks for each of its days."""

import hashlib
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

from analytics.invoices import InvoiceInvalid, import_file, preview_file
from analytics.invoices import landing as landing_module
from tests.analytics.invoice_files import bucket, csv_file, empty_bucket, json_file, page, result, row
from tests.analytics.recon_builders import DAY, instant

pytestmark = pytest.mark.slow

GOLDEN = Path(__file__).parent / "invoices"
NOW = instant("2026-11-20")
LATER = NOW + timedelta(hours=1)
NEXT = DAY + timedelta(days=1)


def current(client: Client) -> list[tuple[object, ...]]:
    rows = client.query(
        "SELECT account, day, amount, token_class FROM tollway.invoice_current ORDER BY ALL"
    ).result_rows
    return [(account, day, amount, token_class) for account, day, amount, token_class in rows]


def take(client: Client, path, *, account: str = "org-main", now=NOW):
    return import_file(client, path, provider="openai", account=account, now=now)


def test_an_import_says_what_it_took(writer, tmp_path):
    path = csv_file(tmp_path, row("0.10"), row("0.023", line_item="web search"), empty_bucket(NEXT))
    taken = take(writer, path)
    assert taken.import_id == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (taken.lines, taken.total, taken.currency, taken.days) == (2, Decimal("0.123"), "USD", (DAY, NEXT))
    assert (taken.file_format, taken.repeated) == ("openai_costs_csv", False)
    assert current(writer) == [("org-main", DAY, "0.023", "other"), ("org-main", DAY, "0.10", "output")]


def test_a_line_of_the_vendors_costs_says_what_it_is_and_for_when(writer, tmp_path):
    take(writer, csv_file(tmp_path, row("0.10"), row("-2")))
    found = writer.query(
        "SELECT document, charge_category, toString(charge_start), toString(charge_end), billing_currency, "
        "billed_amount, invoice_id, tags "
        "FROM tollway.invoice_current ORDER BY row"
    ).result_rows
    since, until = (f"{day} 00:00:00.000" for day in (DAY, NEXT))
    assert found == [
        ("cost", "Usage", since, until, "USD", "0.10", "", ""),
        ("cost", "Credit", since, until, "USD", "-2", "", ""),
    ]


def test_lines_that_landed_before_documents_were_told_apart_are_costs_of_a_whole_day(writer):
    names = ["load_id", "row", "day", "token_class", "amount", "scale", "currency"]
    writer.insert("tollway.invoice_lines", [["load", 2, DAY, "output", "1.5", 2, "USD"]], column_names=names)
    names = ["import_id", "load_id", "provider", "account", "days", "imported_at"]
    writer.insert("tollway.invoice_imports", [["file", "load", "openai", "org-main", [DAY], NOW]], column_names=names)
    found = writer.query(
        "SELECT document, charge_category, toString(charge_start), toString(charge_end), billing_currency, "
        "billed_amount FROM tollway.invoice_current"
    ).result_rows
    since, until = (f"{day} 00:00:00.000" for day in (DAY, NEXT))
    assert found == [("cost", "Usage", since, until, "USD", "1.5")]


def test_the_same_file_again_changes_nothing_and_says_so(writer, tmp_path):
    path = json_file(tmp_path, page(bucket(result("0.25")), bucket(day=NEXT)))
    first, again = take(writer, path), take(writer, path, now=LATER)
    assert (again.repeated, again.days, again.total, again.lines) == (True, first.days, first.total, 1)
    assert current(writer) == [("org-main", DAY, "0.25", "output")]
    assert writer.query("SELECT count() FROM tollway.invoice_imports").result_rows == [(1,)]


def test_a_newer_import_replaces_the_days_it_covers_and_no_others(writer, tmp_path):
    take(writer, csv_file(tmp_path, row("1.00"), row("2.00", day=NEXT)))
    take(writer, csv_file(tmp_path, row("1.50"), name="corrected.csv"), now=LATER)
    assert [amount for _, _, amount, _ in current(writer)] == ["1.50", "2.00"]
    assert writer.query("SELECT count() FROM tollway.invoice_lines").result_rows == [(3,)]


def test_the_right_file_gets_in_again_after_a_wrong_one(writer, tmp_path):
    right, wrong = csv_file(tmp_path, row("1.00"), row("2.00")), csv_file(tmp_path, row("1.00"), name="short.csv")
    take(writer, right)
    assert take(writer, wrong, now=LATER).notes == ("replaces 2 lines, 3 USD for the same days by 1 lines, 1 USD",)
    assert not take(writer, right, now=LATER + timedelta(hours=1)).repeated
    assert [amount for _, _, amount, _ in current(writer)] == ["1.00", "2.00"]
    assert take(writer, right, now=LATER + timedelta(hours=2)).repeated


def test_another_organization_in_the_same_accounts_file_is_noted(writer, tmp_path):
    first, other = csv_file(tmp_path, row("1.00")), tmp_path / "other.csv"
    take(writer, first)
    other.write_text(first.read_text().replace("org-", "org-other-"))
    assert any("earlier files of this account billed" in note for note in take(writer, other, now=LATER).notes)


def test_a_newer_import_in_which_a_day_is_empty_takes_its_charges_back(writer, tmp_path):
    take(writer, csv_file(tmp_path, row("1.00"), row("2.00", day=NEXT)))
    take(writer, csv_file(tmp_path, empty_bucket(DAY), name="corrected.csv"), now=LATER)
    assert [amount for _, _, amount, _ in current(writer)] == ["2.00"]


def test_accounts_do_not_replace_each_other(writer, tmp_path):
    path = csv_file(tmp_path, row("1.00"))
    take(writer, path)
    assert not take(writer, path, account="org-eu", now=LATER).repeated
    assert [account for account, *_ in current(writer)] == ["org-eu", "org-main"]


def test_a_file_that_is_wrong_on_its_last_line_changes_nothing(writer, tmp_path):
    with pytest.raises(InvoiceInvalid, match="line 10002, column amount_value"):
        take(writer, csv_file(tmp_path, *[row()] * 10_000, row("oops")))
    assert writer.query("SELECT count() FROM tollway.invoice_lines").result_rows == [(0,)]
    assert current(writer) == []


def test_lines_of_a_load_that_was_cut_off_are_never_seen(writer, tmp_path, monkeypatch):
    path = csv_file(tmp_path, row("1.00"))
    digests = iter(["before", "after"])
    monkeypatch.setattr(landing_module, "digest", lambda _: next(digests))
    with pytest.raises(InvoiceInvalid, match="changed while it was read"):
        take(writer, path)
    monkeypatch.undo()
    assert writer.query("SELECT count() FROM tollway.invoice_lines").result_rows == [(1,)]
    assert current(writer) == []
    take(writer, path)
    assert [amount for _, _, amount, _ in current(writer)] == ["1.00"]


def test_ten_thousand_lines_land_in_blocks_and_sum_exactly(writer, tmp_path, monkeypatch):
    monkeypatch.setattr(landing_module, "BLOCK_LINES", 3_000)
    taken = take(writer, csv_file(tmp_path, *[row(f"0.{i:030d}") for i in range(1, 10_001)]))
    assert taken.lines == 10_000
    assert taken.total == Decimal("0.000000000000000000000050005000")
    found = writer.query("SELECT count(), toString(sum(amount_exact)) FROM tollway.invoice_current").result_rows
    assert found == [(10_000, "0.000000000000000000000050005")]


def test_a_dry_run_tells_what_would_land_and_what_it_would_replace_and_changes_nothing(writer, tmp_path):
    take(writer, csv_file(tmp_path, row("5.00")))
    path = csv_file(tmp_path, row("0.10"), row("-2"), name="newer.csv")
    shown = preview_file(writer, path, provider="openai", account="org-main")
    assert (shown.lines, shown.total, shown.days) == (2, Decimal("-1.90"), (DAY,))
    assert {kind: (one.lines, one.amount) for kind, one in shown.by_category.items()} == {
        ("Usage", "USD"): (1, Decimal("0.10")),
        ("Credit", "USD"): (1, Decimal(-2)),
    }
    assert "replaces 1 lines, 5 USD for the same days by 2 lines, -1.9 USD" in shown.notes
    assert writer.query("SELECT count() FROM tollway.invoice_lines").result_rows == [(1,)]
    assert [amount for _, _, amount, _ in current(writer)] == ["5.00"]


def test_usage_and_costs_of_the_same_days_stand_side_by_side(writer):
    costs = import_file(writer, GOLDEN / "anthropic_costs.csv", provider="anthropic", account="main", now=NOW)
    usage = import_file(writer, GOLDEN / "anthropic_usage.csv", provider="anthropic", account="main", now=LATER)
    assert costs.days == usage.days == (DAY, NEXT, DAY + timedelta(days=2))  # A day without rows had no charges.
    found = writer.query(
        "SELECT document, count(), toString(sum(amount_exact)), sum(quantity) FROM tollway.invoice_current "
        "GROUP BY document ORDER BY document"
    ).result_rows
    assert [tuple(one) for one in found] == [("cost", 4, "1235.240001", None), ("usage", 8, "0", 9_238_102)]
    assert import_file(writer, GOLDEN / "anthropic_costs.csv", provider="anthropic", account="main", now=LATER).repeated


def test_an_invoice_needs_a_provider_and_an_account(writer, tmp_path):
    with pytest.raises(ValueError, match="name both"):
        take(writer, csv_file(tmp_path, row()), account="")


def test_a_file_that_is_not_there_is_an_oserror(writer, tmp_path):
    with pytest.raises(FileNotFoundError):
        take(writer, tmp_path / "absent.csv")
