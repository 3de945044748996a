"""Any table, read by a mapping (analytics/invoices/mapping.py says what one is)."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

from analytics.invoices import meters, table, values
from analytics.invoices.entries import Billing, Category, Covered, Document, Entry, LeftOut, Terms
from analytics.invoices.importer import Importer
from analytics.invoices.mapping import SHIPPED, Amount, Mapping, Text, load
from analytics.invoices.table import Row
from analytics.reconciliation.variance import OTHER
from gateway.domain.money import EXACT


def importer_of(mapping: Mapping) -> Importer:
    """The importer that reads by this mapping. Its name has the mapping's digest: a changed one reads a file anew."""
    digest = hashlib.sha256(mapping.model_dump_json().encode()).hexdigest()
    return Importer(
        name=f"{mapping.name}@{digest[:8]}",
        title=mapping.title,
        document=mapping.document,
        read=partial(_read, mapping),
        required=mapping.columns,
        told_by=mapping.told_by,
        gaps_are_empty=mapping.document is not Document.INVOICE,
    )


def shipped() -> tuple[Importer, ...]:
    """The importers of the mappings that come with Tollway."""
    return tuple(importer_of(load(path)) for path in sorted(SHIPPED.glob("*.yaml")))


def _read(mapping: Mapping, path: Path) -> Iterator[Covered]:
    for row in table.rows(path, mapping.columns, delimiter=mapping.delimiter):
        start = row.instant(mapping.start.column, zone=mapping.zone, form=mapping.start.format)
        day = _standing_day(mapping, row, start)
        if mapping.only and row.text(mapping.only.column) not in mapping.only.values:
            yield day, LeftOut(f"{mapping.only.column} is not {' or '.join(mapping.only.values)}")
            continue
        yield day, _entry(mapping, row, start)
        if mapping.credit and row.number_of(mapping.credit.column):
            yield day, _credit(mapping, row, start)


def _standing_day(mapping: Mapping, row: Row, start: datetime) -> date:
    """The vendor's own day; for what is of another month than the bill, the first day of the bill's."""
    day = start.astimezone(mapping.zone).date()
    if mapping.bill_month is None:
        return day
    bill = row.instant(mapping.bill_month.column, zone=mapping.zone, form=mapping.bill_month.format)
    month = bill.astimezone(mapping.zone).date().replace(day=1)
    return day if day.replace(day=1) == month else month


def _end(mapping: Mapping, row: Row, start: datetime) -> datetime:
    if mapping.end is not None:
        return row.instant(mapping.end.column, zone=mapping.zone, form=mapping.end.format)
    local = start.astimezone(mapping.zone)
    tomorrow = datetime.combine(local.date() + timedelta(days=1), time(local.hour, local.minute), mapping.zone)
    return tomorrow.astimezone(UTC)


def _entry(mapping: Mapping, row: Row, start: datetime) -> Entry:
    amount, places, billing = _money(mapping, row)
    category = _category(mapping, row)
    said = partial(_said, mapping, row)
    unit = said("unit")
    count = row.number_of(mapping.quantity) if mapping.quantity else None
    per = mapping.units.get(unit, meters.tokens_per(unit))
    quantity = meters.tokens_of(count, per, is_double=row.is_printed)
    token_class, reason = said("token_class"), ""
    if category is not Category.USAGE:
        reason = f"a charge of category {category.value}"
    elif amount < 0:
        reason = "a negative amount, such as a credit"
    elif not token_class:
        reason = f"no rule of {mapping.name} tells the class of tokens of {said('line_item')[:80]!r}"
    elif not said("model"):
        reason = f"no rule of {mapping.name} tells the model of {said('line_item')[:80]!r}"
    elif count is not None and quantity is None:
        reason = f"{count:f} {unit or 'of no unit'} is not a whole number of tokens"
    return Entry(
        row=row.number,
        place=row.place,
        line_item=said("line_item"),
        model=said("model"),
        token_class=OTHER if reason else token_class,
        reason=reason,
        quantity=None if reason else quantity,
        quantity_raw=row.text(mapping.quantity) if mapping.quantity else "",
        quantity_unit=unit,
        amount=amount,
        amount_places=places,
        is_double=values.is_double(amount),
        currency="" if mapping.amount is None else values.CURRENCY,
        organization=said("organization"),
        project_id=said("project_id"),
        api_key_id=said("api_key_id"),
        user_id=said("user_id"),
        category=category,
        start=start,
        end=_end(mapping, row, start),
        terms=Terms(
            processing_tier=said("processing_tier"),
            region=said("region"),
            deployment_type=said("deployment_type"),
            modality=said("modality"),
            context_tier=said("context_tier"),
        ),
        billing=billing,
        request_id=said("request_id"),
        tags=tuple((name, row.text(column)) for name, column in mapping.tags.items() if row.says(column)),
    )


def _credit(mapping: Mapping, row: Row, start: datetime) -> Entry:
    """The row's credits, which lower what is to be paid whatever sign they are written with."""
    if mapping.credit is None:
        raise TypeError("this mapping has no credits")
    credit, places = _amount(row, mapping.credit)
    currency = _said(mapping, row, "currency").upper()
    if currency != values.CURRENCY:
        raise row.fault(mapping.credit.column, f"a credit in {currency[:10]!r}; only {values.CURRENCY} can be taken")
    return Entry(
        row=row.number,
        place=row.place,
        line_item=_said(mapping, row, "line_item"),
        model=_said(mapping, row, "model"),
        token_class=OTHER,
        reason="a credit",
        quantity=None,
        quantity_raw="",
        quantity_unit="",
        amount=credit.copy_abs().copy_negate(),
        amount_places=places,
        is_double=values.is_double(credit),
        currency=values.CURRENCY,
        organization=_said(mapping, row, "organization"),
        project_id=_said(mapping, row, "project_id"),
        category=Category.CREDIT,
        start=start,
        end=_end(mapping, row, start),
        billing=Billing(invoice_id=_said(mapping, row, "invoice_id")),
    )


def _said(mapping: Mapping, row: Row, name: str) -> str:
    """A text of the row; "" where the mapping does not say it."""
    told = mapping.fields.get(name)
    return "" if told is None else _text(row, told)


def _text(row: Row, told: Text) -> str:
    said = told.constant or row.text(told.column)
    if told.rules:
        hits = ((rule, rule.pattern.search(said)) for rule in told.rules)
        said = next((hit.expand(rule.value) for rule, hit in hits if hit), "")
    return "-".join(said.lower().split()) if told.slug else said


def _amount(row: Row, told: Amount) -> tuple[Decimal, int]:
    """In whole units of the currency, and the decimal places written of them."""
    amount = row.amount(told.column)
    shift = 2 if told.unit == "cents" else 0
    places = values.meant_places(amount) if values.is_double(amount) else values.places(amount)
    return EXACT.scaleb(amount, -shift), places + shift


def _money(mapping: Mapping, row: Row) -> tuple[Decimal, int, Billing]:
    """The charge in USD, its places, and how it is billed."""
    if mapping.amount is None:
        return Decimal(0), 0, Billing(invoice_id=_said(mapping, row, "invoice_id"))
    billed, places = _amount(row, mapping.amount)
    currency = _said(mapping, row, "currency").upper()
    priced_in, priced, rate = "", None, None
    if mapping.pricing is not None:
        priced_in, priced = row.text(mapping.pricing.currency).upper(), row.number_of(mapping.pricing.amount)
        rate = row.number_of(mapping.pricing.fx_rate) if mapping.pricing.fx_rate else None
    billing = Billing(
        invoice_id=_said(mapping, row, "invoice_id"),
        currency=currency,
        amount=billed,
        pricing_currency=priced_in,
        pricing_amount=priced,
        fx_rate=rate,
    )
    if currency == values.CURRENCY:
        return billed, places, billing
    if priced_in == values.CURRENCY and priced is not None:
        return priced, values.places(priced), billing
    column = mapping.fields["currency"].column or mapping.amount.column
    raise row.fault(
        column, f"the currency is {currency[:10]!r}, and the charge is not priced in {values.CURRENCY} either"
    )


def _category(mapping: Mapping, row: Row) -> Category:
    if mapping.category is None:
        return Category.USAGE
    said = row.text(mapping.category.column)
    found = mapping.category.values.get(said)
    if found is None:
        known = ", ".join(mapping.category.values)
        raise row.fault(mapping.category.column, f"{said[:40]!r} is not among {known}")
    return found
