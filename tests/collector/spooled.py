"""Segments and their content, built in memory or on disk."""

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from collector.batches import SegmentContent
from collector.otlp import digest, read_spans
from collector.records import Kind, SpoolRecord
from collector.sealed import Segment
from collector.settings import Limits
from collector.spool import Spool
from tests.collector.emitting import body

DAY_MS = 24 * 3600 * 1000
NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
ROOMY = Limits(free_bytes_min=0)


def kept(
    spans: list[bytes], *, sender: str = "gateway", received_ms: int = NOON_MS, tenant: str | None = None
) -> SpoolRecord:
    """A body record of those spans."""
    sent = body(spans)
    return SpoolRecord(
        kind=Kind.BODY,
        sender=sender,
        tenant=tenant,
        received_ms=received_ms,
        digest=digest(sent),
        spans=len(spans),
        keys=read_spans(sent).keys,
        body=sent,
    )


def resent(spans: int, *, sender: str = "gateway", received_ms: int = NOON_MS) -> SpoolRecord:
    """A record of a body that came again."""
    return SpoolRecord(
        kind=Kind.RESENT, sender=sender, tenant=None, received_ms=received_ms, digest=bytes(16), spans=spans
    )


def content(*records: SpoolRecord) -> SegmentContent:
    """What a segment of those records holds, at offsets 0, 100, 200 ..."""
    return SegmentContent({number * 100: record for number, record in enumerate(records)})


def spool_away(spool: Spool, *records: SpoolRecord, now_ms: int = NOON_MS) -> None:
    """Append, and seal."""
    spool.append(records, now=0.0, now_ms=now_ms)
    spool.seal_if_due(1e9)


def sealed(folder: Path, *records: SpoolRecord) -> Segment:
    """A segment on disk."""
    spool = Spool(folder, ROOMY)
    spool_away(spool, *records)
    segment = spool.take(0.0)
    assert segment
    return segment


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """What a full disk does to a write, without one: it is cut short, then fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
