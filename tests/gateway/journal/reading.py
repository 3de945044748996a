"""What the tests of the journal read and do: records, shipped spans, and a process that dies without a word."""

from pathlib import Path
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.domain import attributes as names
from gateway.domain.segments import Record, read_records
from gateway.journal import records
from gateway.journal.journal import Journal
from gateway.journal.outbox import Outbox
from tests.gateway.otlp_receiver import spans_in

CLIENT, SERVER = Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER


def segments(root: Path) -> list[Path]:
    """Every segment of every journal under `root`, oldest first within a folder."""
    return sorted(root.glob("*/*.seg"))


def written(root: Path) -> list[Record]:
    """Every record of every segment."""
    return [record for path in segments(root) for record in read_records(path).records]


def kinds(root: Path) -> list[int]:
    """The kinds of all records, in order."""
    return [record.kind for record in written(root)]


def die(journal: Journal) -> None:
    """End as kill -9 ends a process: files closed by the kernel, the lock free, nothing flushed or removed."""
    journal._stop.set()
    journal._dirty.set()
    if journal._keeper:
        journal._keeper.join()
    journal._log.close()
    journal._folder.release()
    journal.outbox.release()


def ship(outbox: Outbox, most: int = 1_000_000) -> list[Span]:
    """Take up to `most` segments out of the outbox, as a shipper whose collector acknowledges at once."""
    shipped: list[Span] = []
    for _ in range(min(most, len(outbox))):
        sealed = outbox.head(0)
        assert sealed is not None
        shipped += [span for body in records.spans(read_records(sealed.path).records) for span in spans_in(body)]
        outbox.done(sealed)
    return shipped


def value(span: Span, name: str) -> Any:
    """An attribute of a span; None = it has none."""
    for pair in span.attributes:
        if pair.key == name:
            return getattr(pair.value, pair.value.WhichOneof("value"))
    return None


def outcomes(spans: list[Span]) -> dict[str, str]:
    """Outcome by attempt id, of CLIENT spans; an attempt found twice fails."""
    attempts = [span for span in spans if span.kind == CLIENT]
    found = {str(value(span, names.ATTEMPT_ID)): str(value(span, names.ATTEMPT_OUTCOME)) for span in attempts}
    assert len(found) == len(attempts), "an attempt has two spans"
    return found


def operations(spans: list[Span]) -> dict[str, str]:
    """Outcome by span id, of SERVER spans; an operation found twice fails."""
    served = [span for span in spans if span.kind == SERVER]
    found = {span.span_id.hex(): str(value(span, names.OPERATION_OUTCOME)) for span in served}
    assert len(found) == len(served), "an operation has two spans"
    return found
