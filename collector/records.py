"""What the spool keeps of one request: who sent it and when, what spans are in it, and its bytes.

A BODY record is a header (JSON, its length before it as u16), the span keys joined, and the inflated OTLP bytes. A
RESENT record is a header alone: a body that was acknowledged a second time, which the books want to know of. A LANDED
record stands behind the others in a segment that is kept: the batches of it that landed.
"""

import struct
from dataclasses import dataclass, field
from enum import IntEnum

import orjson

from collector.otlp import KEY_BYTES
from gateway.domain.segments import record_start

LENGTH = struct.Struct("<H")


class Kind(IntEnum):
    """The kinds of records in a spool segment."""

    BODY = 1
    RESENT = 2
    LANDED = 3


START = record_start(Kind, rb'..\{"(?:sender|landed)":')
"""By its header's first key a record is found where the one before it is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolRecord:
    """One request as it was taken. `tenant` is the sender's own, None where its spans name theirs."""

    kind: Kind
    sender: str
    tenant: str | None
    received_ms: int
    """Unix milliseconds."""
    digest: bytes
    spans: int
    own: bool = False
    """Whether a gateway wrote them all, by its own token: then nothing has to be guessed of what they say."""
    keys: bytes = b""
    """24 bytes a span, in the order of the spans in `body`; empty for RESENT, as `body` is."""
    body: bytes = field(default=b"", repr=False)


def encode(record: SpoolRecord) -> tuple[bytes, bytes, bytes]:
    """The record's payload in a segment, in pieces: its body is not copied."""
    header = orjson.dumps(
        {
            "sender": record.sender,
            "tenant": record.tenant,
            "received_ms": record.received_ms,
            "digest": record.digest.hex(),
            "spans": record.spans,
            "own": record.own,
        }
    )
    return LENGTH.pack(len(header)) + header, record.keys, record.body


def decode(kind: int, payload: bytes) -> SpoolRecord:
    """The record of such a payload, of which its keys and body are slices. Raises ValueError for what `encode` did not
    make."""
    try:
        (length,) = LENGTH.unpack_from(payload)
        header = orjson.loads(payload[LENGTH.size : LENGTH.size + length])
        record = Kind(kind)
        spans = int(header["spans"])
        start = LENGTH.size + length
        end = start + (spans * KEY_BYTES if record is Kind.BODY else 0)
        if end > len(payload):
            raise ValueError("shorter than its span count says")
        return SpoolRecord(
            kind=record,
            sender=str(header["sender"]),
            tenant=None if header["tenant"] is None else str(header["tenant"]),
            received_ms=int(header["received_ms"]),
            digest=bytes.fromhex(header["digest"]),
            spans=spans,
            own=bool(header.get("own", False)),
            keys=payload[start:end],
            body=payload[end:],
        )
    except (struct.error, orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"not a spool record: {error}") from None
