"""The vendor's billing ledger: what it charges for each request, and why. In memory and in an append-only file.

A row is opened when a request's head has arrived and settled once, when the vendor knows what it charges; each step is
a line of JSON, written before the client can see what it stands for. A row that was open when the vendor was killed
stays in the books as a broken stream that bills nothing. Amounts are exact here; rounding is the invoice's business.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Context, Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from deploy.demo.vendor.settings import TOKEN_CLASSES, Model

_EXACT = Context(prec=50)
_MILLION = Decimal(1_000_000)


class Cause(StrEnum):
    """How a request ended, as the vendor saw it."""

    RECEIVED = "received"
    """Not yet ended."""
    COMPLETED = "completed"
    CLIENT_DISCONNECT = "client_disconnect"
    STREAM_BROKEN = "stream_broken"
    ERROR = "error"
    RATE_LIMITED = "rate_limited"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request. `tokens` are the billed ones, `billed` their price in USD; both have every class."""

    number: int
    request_id: str
    response_id: str
    received_at: datetime
    project_id: str
    api_key_id: str = ""
    model: str = ""
    stream: bool = False
    status: int = 0
    cause: Cause = Cause.RECEIVED
    tokens: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(TOKEN_CLASSES, 0))
    billed: Mapping[str, Decimal] = field(default_factory=lambda: dict.fromkeys(TOKEN_CLASSES, Decimal(0)))

    @property
    def billed_usd(self) -> Decimal:
        """The whole charge, exact."""
        return sum(self.billed.values(), Decimal(0))

    def plain(self) -> dict[str, Any]:
        """The row in values that JSON has; money as decimal strings."""
        return {
            "number": self.number,
            "request_id": self.request_id,
            "response_id": self.response_id,
            "received_at": self.received_at.isoformat(),
            "project_id": self.project_id,
            "api_key_id": self.api_key_id,
            "model": self.model,
            "stream": self.stream,
            "status": self.status,
            "cause": str(self.cause),
            "tokens": dict(self.tokens),
            "billed": {name: f"{amount:f}" for name, amount in self.billed.items()},
        }


def parse(raw: Mapping[str, Any]) -> Row:
    """A row from what `Row.plain` gave. Raises KeyError or ValueError for anything else."""
    return Row(
        **{
            **raw,
            "received_at": datetime.fromisoformat(raw["received_at"]),
            "cause": Cause(raw["cause"]),
            "billed": {name: Decimal(amount) for name, amount in raw["billed"].items()},
        }
    )


def charge(tokens: Mapping[str, int], model: Model) -> dict[str, Decimal]:
    """What those tokens cost at that model's prices, by class, exact, in USD."""
    return {
        name: _EXACT.divide(_EXACT.multiply(Decimal(tokens[name]), model.per_million[name]), _MILLION)
        for name in TOKEN_CLASSES
    }


class Ledger:
    """The rows of one vendor, in the order of arrival."""

    def __init__(self, path: Path, *, project_id: str) -> None:
        """Open the ledger at `path`, with what an earlier run wrote there. Raises OSError when that cannot be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._project_id = project_id
        self._rows = {row.number: row for row in _read(path)}
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def open(self, request_id: str, response_id: str, received_at: datetime) -> Row:
        """A row for a request whose head has arrived; without a request id of the client's, our own stands for it."""
        row = Row(
            number=len(self._rows),
            request_id=request_id or response_id,
            response_id=response_id,
            received_at=received_at.astimezone(UTC),
            project_id=self._project_id,
        )
        self._put(row)
        return row

    def settle(self, row: Row, *, cause: Cause, status: int, model: Model | None = None, **known: Any) -> Row:
        """Close a row. `known` may hold api_key_id, stream and, with a model, the billed `tokens` by class."""
        tokens = known.get("tokens")
        billed = charge(tokens, model) if model is not None and tokens is not None else row.billed
        settled = replace(
            row, cause=cause, status=status, model=model.snapshot if model else "", billed=billed, **known
        )
        self._put(settled)
        return settled

    def rows(self, start: datetime | None = None, end: datetime | None = None) -> list[Row]:
        """The rows received in the half-open period, by number."""
        return [
            row
            for row in self._rows.values()
            if (start is None or row.received_at >= start) and (end is None or row.received_at < end)
        ]

    def close(self) -> None:
        """Close the file; the rows stay readable."""
        os.close(self._fd)

    def _put(self, row: Row) -> None:
        os.write(self._fd, json.dumps(row.plain()).encode() + b"\n")
        self._rows[row.number] = row


def _read(path: Path) -> Iterable[Row]:
    """The last state of every row in the file; a torn last line is cut, and what was open counts as broken."""
    if not path.exists():
        return []
    whole = path.read_bytes()
    kept = whole[: whole.rfind(b"\n") + 1]
    if len(kept) < len(whole):
        os.truncate(path, len(kept))
    latest: dict[int, Row] = {}
    for line in kept.splitlines():
        row = parse(json.loads(line))
        latest[row.number] = row
    return [replace(row, cause=Cause.STREAM_BROKEN) if row.cause is Cause.RECEIVED else row for row in latest.values()]
