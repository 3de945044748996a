"""Pages and streams: at most so many rows an answer, continued by a cursor; or everything as CSV, row after row.

A cursor names the last row that was given, by its key: rows that come later neither shift what follows nor make it come
twice. It is opaque to clients, and not secret.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import StreamingResponse

from analytics.api.errors import Wrong
from analytics.rfc4180 import Cell, render

LIMIT_MAX = 1000
CHUNK_ROWS = 500

Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Rows in this answer, at most.")]
Cursor = Annotated[str, Query(max_length=2000, description="`next` of the answer before.")]
Format = Annotated[str, Query(alias="format", pattern="^(json|csv)$", description="csv streams all rows; no paging.")]

Key = tuple[str, ...]


def encode(key: Sequence[str]) -> str:
    """The cursor behind the row of that key."""
    return base64.urlsafe_b64encode(json.dumps(list(key)).encode()).decode().rstrip("=")


def decode(cursor: str, length: int) -> Key | None:
    """The key that a cursor names; None for an empty one. Raises Wrong for what we did not write."""
    if not cursor:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Wrong("cursor_unknown", "the cursor is none of ours; begin without one", "cursor") from error
    if not isinstance(key, list) or len(key) != length or not all(isinstance(each, str) for each in key):
        raise Wrong("cursor_unknown", "the cursor is of another list; begin without one", "cursor")
    return tuple(key)


def page(rows: Iterable[dict[str, Any]], keys: Sequence[str], limit: int) -> dict[str, Any]:
    """The first rows, and the cursor to those behind them; null = there are none."""
    found: list[dict[str, Any]] = []
    for row in rows:
        if len(found) == limit:
            return {"rows": found, "next": encode([str(found[-1][name]) for name in keys])}
        found.append(row)
    return {"rows": found, "next": None}


def after(rows: Sequence[dict[str, Any]], keys: Sequence[str], cursor: str) -> Iterator[dict[str, Any]]:
    """The rows behind the one that the cursor names. Raises Wrong where that one is gone."""
    key = decode(cursor, len(keys))
    if key is None:
        yield from rows
        return
    at = next((n for n, row in enumerate(rows) if tuple(str(row[name]) for name in keys) == key), None)
    if at is None:
        raise Wrong("cursor_unknown", "the row that the cursor names is no longer there; begin without one", "cursor")
    yield from rows[at + 1 :]


def stream(name: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> StreamingResponse:
    """The rows as RFC 4180 CSV, rendered a few at a time as they are sent."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return StreamingResponse(chunks(columns, rows), media_type="text/csv; charset=utf-8", headers=headers)


def chunks(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[bytes]:
    """The CSV in pieces: its header, then some rows at a time, taken only when the piece before was."""
    head = render(columns, ())
    yield head
    block: list[Sequence[Cell]] = []
    for row in rows:
        block.append(row)
        if len(block) == CHUNK_ROWS:
            yield render(columns, block)[len(head) :]
            block = []
    if block:
        yield render(columns, block)[len(head) :]
