"""Invoice files for the tests: OpenAI's cost CSV and Costs API JSON, one thing changed where a test is about it."""

import json
from datetime import date
from pathlib import Path

from tests.analytics.recon_builders import DAY, instant

HEADER = (
    "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,quantity,quantity_unit,line_item,"
    "user_id,api_key_id,project_id,organization_id,project_name,organization_name,user_email,api_source"
)


def seconds(day: date) -> int:
    """The start of a UTC day in Unix seconds."""
    return int(instant(day.isoformat()).timestamp())


def row(
    amount: str = "0.0006",
    quantity: str = "1000",
    line_item: str = "gpt-4o-mini, output",
    *,
    day: date = DAY,
    currency: str = "usd",
    unit: str = "tokens",
    organization: str = "org-x",
    start: int | None = None,
    end: int | None = None,
) -> str:
    """One row of the cost CSV."""
    since = seconds(day) if start is None else start
    until = since + 86_400 if end is None else end
    fields = [since, until, f"{day}T00:00:00+00:00", "", amount, currency, quantity, unit, line_item]
    fields += ["", "key_1", "proj_1", organization, "Project", "Org", "", ""]
    return ",".join(f'"{field}"' if "," in str(field) else str(field) for field in fields)


def empty_bucket(day: date) -> str:
    """A day without charges, as the dashboard writes it."""
    return f"{seconds(day)},{seconds(day) + 86_400},{day}T00:00:00+00:00,{day}T00:00:00+00:00,,,,,,,,,,,,,"


def csv_file(folder: Path, *rows: str, name: str = "cost.csv", header: str = HEADER) -> Path:
    """A cost CSV with those rows."""
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def result(
    value: object = 0.0006, line_item: str | None = "gpt-4o-mini, output", **changes: object
) -> dict[str, object]:
    """One result of the Costs API."""
    return {
        "object": "organization.costs.result",
        "amount": {"value": value, "currency": "usd"},
        "line_item": line_item,
        "project_id": "proj_1",
        "organization_id": "org-x",
        "quantity": 1000,
        "quantity_unit": "tokens",
    } | changes


def bucket(*results: dict[str, object], day: date = DAY) -> dict[str, object]:
    """One day of the Costs API."""
    since = seconds(day)
    return {"object": "bucket", "start_time": since, "end_time": since + 86_400, "results": list(results)}


def page(*buckets: dict[str, object], has_more: bool = False) -> dict[str, object]:
    """One answer of the Costs API."""
    return {"object": "page", "data": list(buckets), "has_more": has_more, "next_page": None}


def json_file(folder: Path, *documents: object, name: str = "costs.json") -> Path:
    """The documents one after another, as `curl` appends them."""
    path = folder / name
    path.write_text("\n".join(json.dumps(document) for document in documents), encoding="utf-8")
    return path
