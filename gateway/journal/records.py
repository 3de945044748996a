"""What the journal's records hold, as bytes and back.

kind        payload
1 INTENT    attempt id (16), operation's span id (8), the Intent as JSON
2 END       attempt id (16), OTLP bytes of the attempt's span
3 OPERATION span id (8), OTLP bytes of the operation's span
4 CARRY     intents still unfinished when a segment began: (u32 length, u8 attempt is open, INTENT payload)*
5 WITHDRAWN attempt id (16): the intent was never acted on; there is no span
6 PARKED    the reason in UTF-8, NUL, OTLP bytes of the span nobody takes
7 TRANSITION span id (8), OTLP bytes of the span of a breaker or region that moved
8 FEEDBACK  span id (8), OTLP bytes of the span of what a tenant said of an answer
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from decimal import Decimal
from struct import Struct, error

import orjson

from gateway.domain.attempt import Intent
from gateway.domain.segments import Record, record_start

INTENT, END, OPERATION, CARRY, WITHDRAWN, PARKED, TRANSITION, FEEDBACK = 1, 2, 3, 4, 5, 6, 7, 8
START = record_start((INTENT, END, OPERATION, CARRY, WITHDRAWN, PARKED, TRANSITION, FEEDBACK))
"""Where a record may start, behind damage."""
SHIPPED = frozenset((END, OPERATION, TRANSITION, FEEDBACK))
"""The kinds that hold a span."""

ATTEMPT_ID = slice(0, 16)
OPERATION_ID = slice(16, 24)
_JSON = 24
_SPAN_STARTS = {END: 16, OPERATION: 8, TRANSITION: 8, FEEDBACK: 8}
_ENTRY = Struct("<IB")
_FIELDS = frozenset(field.name for field in fields(Intent))
_DECIMALS = frozenset(field.name for field in fields(Intent) if field.type in (Decimal, Decimal | None))
"""JSON has no decimals: these are texts there."""


class RecordInvalid(ValueError):
    """A record whole by its checksum that is not what its kind says."""


def encode_intent(intent: Intent) -> bytes:
    """The payload of an INTENT."""
    ids = bytes.fromhex(intent.attempt_id) + bytes.fromhex(intent.parent_span_id)
    try:
        return ids + orjson.dumps(intent, default=str)
    except orjson.JSONEncodeError:
        # A lone surrogate is no UTF-8; the attempt matters more than the spelling.
        plain = json.dumps(asdict(intent), default=str, ensure_ascii=False)
        return ids + plain.encode("utf-8", "replace")


def decode_intent(payload: bytes) -> Intent:
    """An INTENT's payload; fields of another version are left out. Raises RecordInvalid."""
    try:
        known = {name: value for name, value in orjson.loads(payload[_JSON:]).items() if name in _FIELDS}
        for name in _DECIMALS & known.keys():
            known[name] = None if known[name] is None else Decimal(known[name])
        return Intent(**known)
    except (ValueError, TypeError, AttributeError, ArithmeticError) as cause:
        raise RecordInvalid(f"an intent that cannot be read: {cause}") from cause


def encode_carry(entries: Iterable[tuple[bool, bytes]]) -> bytes:
    """The payload of a CARRY: INTENT payloads, each with whether its attempt is open (or only its operation is)."""
    return b"".join([part for is_open, payload in entries for part in (_ENTRY.pack(len(payload), is_open), payload)])


def decode_carry(payload: bytes) -> Iterator[tuple[bool, bytes]]:
    """What `encode_carry` was given. Raises RecordInvalid."""
    at = 0
    while at < len(payload):
        try:
            length, is_open = _ENTRY.unpack_from(payload, at)
        except error as cause:
            raise RecordInvalid("a carry that ends within an entry") from cause
        at += _ENTRY.size
        yield bool(is_open), payload[at : at + length]
        at += length


def spans(records: Iterable[Record]) -> list[bytes]:
    """The OTLP bytes of every span in a segment, in order."""
    return [record.payload[_SPAN_STARTS[record.kind] :] for record in records if record.kind in _SPAN_STARTS]


def encode_parked(reason: str, span: bytes) -> bytes:
    """The payload of a PARKED."""
    return reason.replace("\0", " ").encode("utf-8", "replace") + b"\0" + span


def decode_parked(payload: bytes) -> tuple[str, bytes]:
    """The reason and the span of a PARKED."""
    reason, _, span = payload.partition(b"\0")
    return reason.decode("utf-8", "replace"), span
