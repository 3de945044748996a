"""The invoice in the two forms this vendor hands out: its dashboard's CSV and OpenAI's Costs API.

Both show the same lines; neither names a request. Amounts are written with the vendor's full number of decimals.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from deploy.demo.vendor.invoice import DAY, Line, by_day, days
from deploy.demo.vendor.settings import Settings

CSV_COLUMNS = (
    "start_time", "end_time", "start_time_iso", "end_time_iso", "amount_value", "amount_currency", "quantity",
    "quantity_unit", "line_item", "user_id", "api_key_id", "project_id", "organization_id", "project_name",
    "organization_name", "user_email", "api_source",
)  # fmt: skip

GROUPS = ("line_item", "project_id", "api_key_id")
PAGE_DAYS_DEFAULT = 7
PAGE_DAYS_MAX = 180

_NUMBER = re.compile(r'"number:(-?[0-9.]+)"')


class PeriodInvalid(ValueError):
    """The period, the page or a parameter of the export makes no sense; the message says which."""


def csv_export(lines: Sequence[Line], start: datetime, end: datetime, settings: Settings) -> str:
    """One row per line, and one with only its times for a day without any."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, CSV_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    grouped = by_day(lines)
    for day in days(start, end):
        times = _csv_times(day)
        writer.writerows({**times, **_csv_amount(line, settings)} for line in grouped.get(day, ()))
        if day not in grouped:
            writer.writerow(times)
    return text.getvalue()


def _csv_times(day: date) -> dict[str, object]:
    first = _midnight(day)
    return {
        "start_time": int(first.timestamp()),
        "end_time": int((first + DAY).timestamp()),
        "start_time_iso": first.isoformat(),
        "end_time_iso": (first + DAY).isoformat(),
    }


def _csv_amount(line: Line, settings: Settings) -> dict[str, object]:
    return {
        "amount_value": f"{line.amount:f}",
        "amount_currency": "usd",
        "quantity": line.tokens,
        "quantity_unit": "tokens",
        "line_item": line.line_item,
        "api_key_id": line.api_key_id,
        "project_id": line.project_id,
        "organization_id": settings.organization_id,
        "project_name": settings.name,
        "organization_name": settings.name,
    }


def costs_page(
    lines: Sequence[Line], start: datetime, end: datetime, *, group_by: Sequence[str], limit: int, page: str, org: str
) -> str:
    """A page of daily buckets as JSON text. `page` is "" or what the page before called next_page.

    Raises PeriodInvalid for an unknown group, a limit outside 1..180 or a page of another period.
    """
    unknown = set(group_by) - set(GROUPS)
    if unknown:
        raise PeriodInvalid(f"group_by: {sorted(unknown)} is not among {list(GROUPS)}")
    if not 1 <= limit <= PAGE_DAYS_MAX:
        raise PeriodInvalid(f"limit: {limit} is not between 1 and {PAGE_DAYS_MAX}")
    wanted = days(start, end)
    names = [_page_name(day) for day in wanted]
    if page and page not in names:
        raise PeriodInvalid(f"page: {page!r} is not a page of this period")
    first = names.index(page) if page else 0
    shown, after = wanted[first : first + limit], names[first + limit : first + limit + 1]
    grouped = by_day(lines)
    body = {
        "object": "page",
        "data": [_bucket(day, grouped.get(day, []), group_by, org) for day in shown],
        "has_more": bool(after),
        "next_page": after[0] if after else None,
    }
    return _NUMBER.sub(r"\1", json.dumps(body))


def _bucket(day: date, lines: Sequence[Line], group_by: Sequence[str], org: str) -> dict[str, Any]:
    sums: dict[tuple[str | None, ...], tuple[Decimal, int]] = {}
    for line in lines:
        key = tuple(getattr(line, name) if name in group_by else None for name in GROUPS)
        amount, tokens = sums.get(key, (Decimal(0), 0))
        sums[key] = (amount + line.amount, tokens + line.tokens)
    return {
        "object": "bucket",
        "start_time": int(_midnight(day).timestamp()),
        "end_time": int((_midnight(day) + DAY).timestamp()),
        "results": [_result(dict(zip(GROUPS, key, strict=True)), *found, org) for key, found in sums.items()],
    }


def _result(group: dict[str, str | None], amount: Decimal, tokens: int, org: str) -> dict[str, Any]:
    by_item = group["line_item"] is not None
    return {
        "object": "organization.costs.result",
        "amount": {"value": f"number:{amount:f}", "currency": "usd"},
        **group,
        "organization_id": org,
        "quantity": tokens if by_item else None,
        "quantity_unit": "tokens" if by_item else None,
    }


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _page_name(day: date) -> str:
    return f"page_{day:%Y%m%d}"
