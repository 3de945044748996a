"""What emitters of other people send, from tests/sql/emitters: each corpus beside the rows that it must land as."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.emitters.scrub import unscrubbed
from tests.sql import otlp

FOLDER = Path(__file__).parent / "emitters"
COLUMNS = (
    "span_id", "name", "foreign_role", "tenant", "provider", "model", "response_model", "response_id", "outcome",
    "input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "completeness",
    "usage_invalid", "billable", "stream", "finish_reason", "emitter_cost_usd",
)  # fmt: skip
"""What the golden rows say, in their order."""


def names() -> list[str]:
    """The corpora there are: driven ones, and hand-made ones under `by_hand`."""
    return sorted(str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.rglob("*.json"))


def payload(name: str) -> bytes:
    """The export request of a corpus."""
    corpus = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return by_hand(corpus) if "source" in corpus else unscrubbed(corpus)


def by_hand(corpus: dict[str, Any]) -> bytes:
    """A corpus that no package wrote: spans a second apart, ids by their place, of one trace."""
    spans = []
    for at, given in enumerate(corpus["spans"]):
        parent = b"" if given["parent"] is None else (given["parent"] + 1).to_bytes(8, "big")
        spans.append(
            otlp.span(
                given["attributes"], name=given["name"], kind=given["kind"], status=given["status"],
                trace_id=b"\x01" * 16, span_id=(at + 1).to_bytes(8, "big"), parent_span_id=parent,
                start=otlp.START + at * 10**9,
            )
        )  # fmt: skip
    return otlp.request(*spans, service=corpus["service"])


def golden(name: str) -> str:
    """Its golden rows, as CSV; "" where there are none yet."""
    path = FOLDER / f"{name}.csv"
    return path.read_text("utf-8") if path.exists() else ""


def as_csv(rows: list[dict[str, object]]) -> str:
    """Rows of `tollway.spans` as golden rows."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for row in rows:
        table.writerow(shown(row[column]) for column in COLUMNS)
    return text.getvalue()


def shown(value: object) -> str:
    """A value as a golden row has it: "" for NULL, 0 and 1 for a bool."""
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case Decimal():
            return f"{value:f}"
        case _:
            return str(value)
