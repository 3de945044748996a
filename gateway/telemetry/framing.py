"""What every span begins with, in bytes: its ids and its times, fields of a fixed size."""

from struct import Struct

_CHILD = Struct("<2s16s2s8s2s8scQcQ")
"""trace_id, span_id, parent_span_id, start, end: the fields of a fixed size."""
_ROOT = Struct("<2s16s2s8scQcQ")


def framed(trace_id: str, span_id: str, parent_span_id: str, started_at: int, ended_at: int) -> bytes:
    """The ids (hexadecimal; \"\" = no parent) and the times (Unix nanoseconds) of one span."""
    trace, span = bytes.fromhex(trace_id), bytes.fromhex(span_id)
    if not parent_span_id:
        return _ROOT.pack(b"\x0a\x10", trace, b"\x12\x08", span, b"\x39", started_at, b"\x41", ended_at)
    parent = bytes.fromhex(parent_span_id)
    return _CHILD.pack(
        b"\x0a\x10", trace, b"\x12\x08", span, b"\x22\x08", parent, b"\x39", started_at, b"\x41", ended_at
    )
