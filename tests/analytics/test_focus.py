"""The pack's FOCUS files hold to the specification: 1.4's columns, types, values and sums, and its own examples."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.corrections import charges as corrected
from analytics.corrections import texts
from analytics.exports import render
from analytics.focus import cost_and_usage
from analytics.focus.cost_and_usage import Charged, Document
from analytics.pack import UNSIGNED
from analytics.reconciliation import Evidence, Line, Part, VarianceClass
from analytics.reconciliation.policy import focus_tolerance as tolerance
from analytics.rfc4180 import text_of
from analytics.windows import month_window
from tests.analytics import focus_rules
from tests.analytics.packs import ACME, ARRIVED, GLOBEX, IMPORT, draft

GOLDEN = Path(__file__).parent / "golden_month"
JANUARY = month_window("2025-01")
FILES = list(focus_rules.DATASETS)


def read(content: bytes) -> tuple[list[str], list[dict[str, str]]]:
    reader = csv.DictReader(io.StringIO(content.decode(), newline=""))
    rows = list(reader)
    return list(reader.fieldnames or ()), rows


def a_pack() -> Mapping[str, bytes]:
    return render(draft(), UNSIGNED, {}, tool="tollway test").files


@pytest.mark.parametrize("name", FILES)
def test_every_row_of_a_pack_holds_to_the_specification(name: str) -> None:
    for files in (a_pack(), {path.name: path.read_bytes() for path in GOLDEN.iterdir()}):
        header, rows = read(files[name])
        assert rows
        assert list(focus_rules.broken(name, header, rows)) == []


def test_what_is_charged_comes_to_what_each_invoice_and_each_of_its_lines_bills() -> None:
    files = a_pack()
    charges, details = (read(files[name])[1] for name in FILES[:2])
    assert focus_rules.sums_broken(charges, details, tolerance=lambda rows: Decimal(0)) == []
    assert sum(Decimal(row["BilledCost"]) for row in charges) == Decimal("0.51078")


@pytest.mark.parametrize(
    ("rows", "difference", "passes"),
    [(5, "0.02", True), (5, "5.00", False), (1_000_000, "4.50", True), (1_000_000, "15.00", False)],
)
def test_the_tolerance_decides_the_specifications_own_cases(rows: int, difference: str, passes: bool) -> None:
    """Invoice Reconciliation, Rounding Variance Tolerance: its four examples."""
    assert (Decimal(difference) <= tolerance(rows)) == passes


def charged(
    model: str, token_class: str, tokens: int | None, price: str, amount: str, *parts: tuple[str, str]
) -> Charged:
    """A billed line of January 2025, half and half of two owners; `parts` are what its invoice says is no usage."""
    total, unit = Decimal(amount), Decimal(price) / 1_000_000
    usage = total - sum((Decimal(each) for _, each in parts), Decimal(0))
    line = Line(
        provider="Solora AI",
        account="acct-1001",
        day=date(2025, 1, 1),
        days=31,
        model=model,
        invoice_models=(model,),
        token_class=token_class,
        billed_rows=1,
        billed_quantity=tokens,
        metered_quantity=tokens or 0,
        invoiced=total,
        metered=usage,
        card_id="",
        unit_price=unit if tokens else None,
        scale=2,
        import_ids=(IMPORT,),
        parts=tuple(Part(VarianceClass(name), Decimal(each), Evidence()) for name, each in parts),
    )
    return Charged(line, {ACME: total / 2, GLOBEX: total / 2})


def rows_of(*lines: Charged) -> list[dict[str, str]]:
    found = cost_and_usage.rows(JANUARY, lines, {IMPORT: Document(IMPORT, ARRIVED, "INV-1")})
    return [{name: text_of(value) for name, value in row.items()} for row in found]


MODEL = "solora-reasoning-pro"
CACHING_A = [
    ("input_uncached", 500_000, "3", "1.5", "0.5", "Input", "Uncached"),
    ("cache_write_5m", 2_000_000, "3.75", "7.5", "2", "Input", "Write"),
    ("cache_read", 8_000_000, "0.3", "2.4", "8", "Input", "Read"),
    ("output", 1_500_000, "15", "22.5", "1.5", "Output", None),
]
CACHING_B = [
    ("input_uncached", 2_500_000, "3", "7.5", "2.5", "Input", "Uncached"),
    ("cache_read", 8_000_000, "0.3", "2.4", "8", "Input", "Read"),
    ("output", 1_500_000, "15", "22.5", "1.5", "Output", None),
]
PER_TOKEN = [
    ("input_uncached", 8_400_000, "5", "42", "8.4", "Input", "Uncached"),
    ("output", 2_100_000, "25", "52.5", "2.1", "Output", None),
]


@pytest.mark.parametrize(
    ("example", "other", "whole"),
    [(CACHING_A, None, "33.9"), (CACHING_B, "6", "38.4"), (PER_TOKEN, None, "94.5")],
    ids=["prompt caching A", "prompt caching B", "per token"],
)
def test_the_specifications_examples_of_model_billing_come_out_as_they_are_there(
    example: list[tuple[str, int, str, str, str, str, str | None]], other: str | None, whole: str
) -> None:
    lines = [charged(MODEL, name, tokens, price, cost) for name, tokens, price, cost, *_ in example]
    if other:  # Storage of a cache, by the token-hour: no tokens of a class, so it is a charge.
        lines.append(charged("", "other", None, "0", other))
    rows = rows_of(*lines)
    assert list(focus_rules.broken(FILES[0], list(rows[0]), rows)) == []
    assert sum(Decimal(row["BilledCost"]) for row in rows) == Decimal(whole)
    for name, tokens, price, cost, quantity, direction, action in example:
        mine = [row for row in rows if row["SkuId"].endswith(f"/{name}")]
        sums = {column: sum(Decimal(row[column]) for row in mine) for column in (
            "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ConsumedQuantity", "PricingQuantity",
        )}  # fmt: skip
        assert set(sums.values()) == {Decimal(cost), Decimal(tokens), Decimal(quantity)}, name
        assert {(row["ListUnitPrice"], row["PricingUnit"], row["ConsumedUnit"]) for row in mine} == {
            (price, "1000000 Tokens", "Tokens")
        }
        details = json.loads(mine[0]["SkuPriceDetails"])
        assert (details["TokenDirection"], details.get("TokenCacheAction")) == (direction, action)


def test_taxes_credits_fees_and_corrections_of_the_invoice_have_rows_of_their_own_and_keep_the_sum() -> None:
    parts = [("TAX", "1.9"), ("CREDIT", "-2"), ("FEE", "0.5"), ("PRIOR_PERIOD_CORRECTION", "0.25")]
    rows = rows_of(charged(MODEL, "output", 1_000_000, "15", "15.65", *parts))
    assert list(focus_rules.broken(FILES[0], list(rows[0]), rows)) == []
    by_kind: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        kind = (row["ChargeCategory"], row["ChargeClass"])
        by_kind[kind] = by_kind.get(kind, Decimal(0)) + Decimal(row["BilledCost"])
    assert by_kind == {
        ("Usage", ""): Decimal(15),
        ("Tax", ""): Decimal("1.9"),
        ("Credit", ""): Decimal(-2),
        ("Purchase", ""): Decimal("0.5"),
        ("Usage", "Correction"): Decimal("0.25"),
    }


def test_a_late_charge_is_one_row_in_the_open_period_at_its_own_charge_period() -> None:
    """As the specification's example of late-arriving usage: an increment, ChargeClass Correction."""
    before, after = (rows_of(charged(MODEL, "output", 1_000_000 * n, "15", f"{15 * n}")) for n in (1, 2))
    february = month_window("2025-02")
    found = corrected("2025-01", february, now=after, frozen=before, booked=[])
    rows = [{name: text_of(value) for name, value in row.items()} for row in found]
    assert list(focus_rules.broken(FILES[0], list(rows[0]), rows)) == []
    assert {(row["ChargePeriodStart"], row["BillingPeriodStart"], row["BilledCost"]) for row in rows} == {
        ("2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", "7.5")
    }
    assert corrected("2025-01", february, now=after, frozen=before, booked=rows) == [], "it is booked once"
    assert corrected("2025-01", february, now=before, frozen=before, booked=[]) == []


BAD = {
    "BilledCost": "1E-7", "ListCost": "9", "ChargeCategory": "Refund", "ChargeClass": "Late", "InvoiceId": "",
    "BillingCurrency": "usd", "ChargePeriodStart": "2026-11-03 00:00:00", "SkuPriceId": "", "ConsumedUnit": "",
    "ListUnitPrice": "-1", "SkuPriceDetails": "[]", "HostProviderName": "", "ChargePeriodEnd": "2026-01-01T00:00:00Z",
    "PricingQuantity": "", "Tags": "7", "BillingPeriodEnd": "",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_the_rules_find_what_is_wrong(name: str) -> None:
    header, rows = read(a_pack()[FILES[0]])
    usage = next(row for row in rows if row["ConsumedUnit"] == "Tokens")
    assert list(focus_rules.broken(FILES[0], header, [usage])) == []
    assert list(focus_rules.broken(FILES[0], header, [usage | {name: BAD[name]}])) != []
    short = [each for each in header if each != "BilledCost"]
    assert "BilledCost is missing" in list(focus_rules.broken(FILES[0], short, []))


def test_text_that_a_file_guards_is_read_back_as_it_was() -> None:
    owner = replace(ACME, tenant="=acme")
    line = charged(MODEL, "output", 10, "15", "1").line
    [row] = cost_and_usage.rows(JANUARY, [Charged(line, {owner: Decimal(1)})], {})
    assert row["SubAccountId"] == "=acme"
    assert texts(b"SubAccountId\r\n'=acme\r\n")[0]["SubAccountId"] == "=acme"
