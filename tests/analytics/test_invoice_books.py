"""What was imported is listed, shown and voided; a numbered invoice stands by its number, and nothing is deleted."""

from datetime import timedelta
from decimal import Decimal

import pytest

from analytics.invoices import books, import_file
from analytics.invoices.books import ImportUnknown, add_invoice, void
from analytics.invoices.formats.entered_invoice import EnteredInvoice
from tests.analytics.invoice_files import csv_file, row
from tests.analytics.recon_builders import instant
from tests.analytics.test_invoice_formats import GOLDEN, altered

pytestmark = pytest.mark.slow

NOW = instant("2026-12-03")


def take(client, path, hours=0, **changes):
    about = {"provider": "anthropic", "account": "main"} | changes
    return import_file(client, path, now=NOW + timedelta(hours=hours), **about)


def states(client):
    return [(one["file_name"], one["state"]) for one in books.imports(client).iter_rows(named=True)]


def to_pay(client):
    found = client.query(
        "SELECT invoice_id, toString(sumIf(amount_exact, invoice_status != 'Voided')) FROM tollway.invoice_current "
        "WHERE document = 'invoice' GROUP BY invoice_id ORDER BY invoice_id"
    ).result_rows
    return [tuple(one) for one in found]


def test_a_voided_import_is_kept_and_what_it_had_replaced_stands_again(writer, tmp_path):
    first = take(writer, csv_file(tmp_path, row("1.00")), provider="openai")
    second = take(writer, csv_file(tmp_path, row("9.00"), name="wrong.csv"), 1, provider="openai")
    assert states(writer) == [("wrong.csv", "stands"), ("cost.csv", "superseded")]
    void(writer, second.import_id[:8], reason="of another month", now=NOW)
    assert states(writer) == [("wrong.csv", "void"), ("cost.csv", "stands")]
    assert books.imports(writer)["void_reason"].to_list() == ["of another month", ""]
    assert writer.query("SELECT amount FROM tollway.invoice_current").result_rows == [("1.00",)]
    with pytest.raises(ImportUnknown, match="is void already"):
        void(writer, second.import_id, reason="again", now=NOW)
    assert not take(writer, tmp_path / "wrong.csv", 2, provider="openai").repeated  # Imported again, it stands again.
    assert states(writer)[0] == ("wrong.csv", "stands")
    assert books.find(writer, first.import_id[:6]).height == 1


def test_an_id_that_is_nobodys_or_several_ones_is_told_of(writer, tmp_path):
    path = csv_file(tmp_path, row("1.00"))
    taken = take(writer, path, provider="openai")
    take(writer, path, provider="openai", account="eu")
    with pytest.raises(ImportUnknown, match=r"is 2 imports: .* of openai/"):
        books.find(writer, taken.import_id)
    for wanted in ("", taken.import_id[:5], "f" * 64):
        with pytest.raises(ImportUnknown, match="no import's id begins with"):
            books.find(writer, wanted)
    with pytest.raises(ValueError, match="say why"):
        void(writer, taken.import_id, reason=" ", now=NOW)


def test_a_numbered_invoice_stands_by_its_number_beside_the_costs_and_a_later_status_takes_its_place(writer, tmp_path):
    take(writer, GOLDEN / "focus_1_4.csv")
    both = take(writer, GOLDEN / "focus_invoice.csv", 1)
    assert (both.total, both.invoice_ids) == (Decimal("1120.50"), ("INV-6", "INV-7"))
    assert to_pay(writer) == [("INV-6", "0"), ("INV-7", "1120.5")]
    held = books.contents(writer, books.find(writer, "INV-7")["load_id"][0])
    assert held["lines"].sum() == 3
    take(writer, altered(tmp_path, "focus_invoice.csv", ",d-2,INV-7", ",d-2,INV-9"), 2)
    assert to_pay(writer) == [("INV-6", "0"), ("INV-7", "1035.1"), ("INV-9", "85.4")]
    assert take(writer, GOLDEN / "focus_invoice.csv", 3).repeated is False
    assert to_pay(writer) == [("INV-6", "0"), ("INV-7", "1120.5"), ("INV-9", "85.4")]
    costs = writer.query("SELECT count() FROM tollway.invoice_current WHERE document = 'cost'").result_rows
    assert [tuple(one) for one in costs] == [(5,)]


def test_a_correction_in_a_later_bill_leaves_the_day_it_corrects_as_it_was(writer, tmp_path):
    october = (GOLDEN / "focus_1_4.csv").read_text("utf-8").splitlines()[:2]
    path = tmp_path / "october.csv"
    path.write_text("\n".join(october).replace("2026-11-03", "2026-10-20").replace("2026-11-04", "2026-10-21") + "\n")
    path.write_text(path.read_text().replace("2026-11-01", "2026-10-01").replace("2026-12-01", "2026-11-01"))
    take(writer, path)
    take(writer, GOLDEN / "focus_1_4.csv", 1)
    found = writer.query(
        "SELECT amount, charge_class FROM tollway.invoice_current WHERE day = '2026-10-20' ORDER BY row"
    ).result_rows
    assert [tuple(one) for one in found] == [("22.50", ""), ("-1.25", "Correction")]


def test_an_invoice_entered_by_hand_lands_once_and_is_replaced_by_its_number(writer):
    about = {"invoice_id": "INV-7", "month": "2026-12", "amount": Decimal("1035.10"), "tax": Decimal("85.40")}
    key = {"provider": "anthropic", "account": "main", "now": NOW}
    done = add_invoice(writer, EnteredInvoice(**about), **key)
    assert (done.lines, done.total, done.document) == (2, Decimal("1120.50"), "invoice")
    assert add_invoice(writer, EnteredInvoice(**about), **key).repeated
    mended = EnteredInvoice(**about | {"credit": Decimal(20), "fee": Decimal("0.80")})
    add_invoice(writer, mended, **key | {"now": NOW + timedelta(hours=1)})
    assert to_pay(writer) == [("INV-7", "1101.3")]
    found = writer.query(
        "SELECT charge_category, amount, toString(charge_end) FROM tollway.invoice_current ORDER BY row"
    ).result_rows
    assert [tuple(one)[:2] for one in found] == [
        ("Usage", "1035.10"),
        ("Tax", "85.40"),
        ("Fee", "0.80"),
        ("Credit", "-20"),
    ]
    assert found[0][2] == "2027-01-01 00:00:00.000"


@pytest.mark.parametrize("changes", [{"amount": Decimal(-1)}, {"credit": Decimal(-1)}, {"invoice_id": " "}])
def test_an_invoice_with_a_sign_or_without_a_number_is_refused(changes):
    about = {"invoice_id": "INV-7", "month": "2026-12", "amount": Decimal(1)}
    with pytest.raises(ValueError, match=r"without sign|its number"):
        EnteredInvoice(**about | changes)
