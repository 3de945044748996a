"""The month's tables, as its pack has them: /reconciliation/{month}, its lines, owners and corrections, /exceptions.

Values are the text of the pack's CSVs, so that no amount becomes a float and API, CSV and pack are one. Of a closed
month they are what it was frozen with. A first page is always of now; the pages behind it are of the same answer,
while it is younger than a minute.
"""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from analytics.accounts import Right
from analytics.api.errors import Wrong
from analytics.api.finance import Acting, Finance, Installation, Reading
from analytics.api.held import Row
from analytics.api.paging import Cursor, Format, Limit, after, page, stream
from analytics.exceptions import NOTE_MAX, Care

router = APIRouter()
Month = Annotated[str, Path(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="UTC month, YYYY-MM.")]

LINE = ("issuer", "billing_account_id", "day", "model", "token_class", "processing_tier", "region")
OWNER = ("tenant", "alias", "tier", "fallback_depth", "reason_code")


class Part(StrEnum):
    """The tables of a month that are read a page at a time."""

    LINES = "lines"
    OWNERS = "by-alias-tenant"
    CORRECTIONS = "corrections"


FILES = {
    Part.LINES: ("recon_lines.csv", LINE),
    Part.OWNERS: ("recon_by_alias_tenant.csv", OWNER),
    Part.CORRECTIONS: ("recon_corrections.csv", ("closed_month", *LINE)),
}
EXCEPTIONS = ("recon_exceptions.csv", ("exception_id",))


class Noted(BaseModel):
    """An exception's owner and note; "" takes one back."""

    owner: str = Field(max_length=100)
    note: str = Field(max_length=NOTE_MAX)


@router.get("/reconciliation/{month}", tags=["reconciliation"], summary="A month's accounts, each with its classes")
def accounts(month: Month, actor: Reading, installation: Installation, form: Format = "json") -> Any:
    """One row an account; a month has few, so they are one answer."""
    return _answer(installation, month, "recon_summary.csv", ("issuer", "billing_account_id"), 1000, "", form, {})


@router.get("/reconciliation/{month}/{part}", tags=["reconciliation"], summary="A month's lines, owners or corrections")
def table(
    month: Month,
    part: Part,
    actor: Reading,
    installation: Installation,
    issuer: Annotated[str, Query(description="Only lines of that provider.")] = "",
    account: Annotated[str, Query(description="Only lines of that billing account.")] = "",
    variance_class: Annotated[str, Query(description="Only lines that have a part of that class.")] = "",
    tenant: Annotated[str, Query(description="Only rows of that tenant.")] = "",
    limit: Limit = 200,
    cursor: Cursor = "",
    form: Format = "json",
) -> Any:
    """In the order of the pack's file."""
    file, keys = FILES[part]
    wanted = {"issuer": issuer, "billing_account_id": account, "tenant": tenant, "variance_class": variance_class}
    return _answer(installation, month, file, keys, limit, cursor, form, wanted)


@router.get("/exceptions", tags=["exceptions"], summary="What no explanation settles, the largest first")
def exceptions(
    actor: Reading,
    installation: Installation,
    month: Annotated[str, Query(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", description="UTC month, YYYY-MM.")],
    owner: Annotated[str, Query(description="Only those of that owner.")] = "",
    limit: Limit = 200,
    cursor: Cursor = "",
    form: Format = "json",
) -> Any:
    """Each with its owner and note."""
    return _answer(installation, month, *EXCEPTIONS, limit, cursor, form, {"owner": owner})


@router.put("/exceptions/{month}/{exception_id}", tags=["exceptions"], summary="Give an exception an owner and a note")
def note(month: Month, exception_id: str, noted: Noted, actor: Acting, installation: Installation) -> Any:
    """Both are replaced; the audit trail keeps what they were."""
    actor.require(Right.PREPARE)
    care = Care(noted.owner.strip(), noted.note.strip())
    installation.close.note(month, exception_id, care, actor=actor, now=installation.clock())
    return {"exception_id": exception_id, "owner": care.owner, "note": care.note}


def _answer(
    installation: Finance,
    month: str,
    file: str,
    keys: tuple[str, ...],
    limit: int,
    cursor: str,
    form: str,
    wanted: dict[str, str],
) -> Any:
    rows = installation.held.rows(installation.close, month, file, now=installation.clock(), fresh=not cursor)
    columns = list(rows[0]) if rows else []
    for name, value in wanted.items():
        if value and rows and name not in columns:
            raise Wrong("invalid_request", f"{file} has no column {name} to filter by", name)
    found = [row for row in rows if all(_has(row, name, value) for name, value in wanted.items() if value)]
    if form == "csv":
        return stream(f"{file.removesuffix('.csv')}_{month}", columns, (tuple(row.values()) for row in found))
    held = tuple(name for name in keys if name in columns)
    return page(after(found, held, cursor), held, limit)


def _has(row: Row, name: str, value: str) -> bool:
    held = row[name] or ""
    return value in held.split("+") if name == "variance_class" else held == value
