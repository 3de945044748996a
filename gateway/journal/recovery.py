"""What a dead gateway left: its unfinished attempts become spans with outcome `lost`, and its folder gets shipped.

An intent without an end may have been billed by the vendor, so it becomes a CLIENT span under the span id it carries,
usage `unknown`; each operation without a record becomes one SERVER span. Both end when the dead process last wrote:
the time its newest segment was changed. They are written beside the segments in one atomic rename, with nothing in
them that depends on who recovers or when; so a recovery that dies is repeated to the same bytes. A folder whose lock is
held belongs to a living process, and is left alone.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.domain.attempt import Attempt, Intent, Operation, Outcome
from gateway.domain.reasons import Reason
from gateway.domain.segments import Record, SegmentWriter, read_records, sync_folder
from gateway.domain.usage import Completeness
from gateway.journal.folder import Folder
from gateway.journal.outbox import Outbox
from gateway.journal.parked import Parked
from gateway.journal.records import (
    ATTEMPT_ID,
    CARRY,
    END,
    INTENT,
    OPERATION,
    OPERATION_ID,
    START,
    WITHDRAWN,
    RecordInvalid,
    decode_carry,
    decode_intent,
)
from gateway.telemetry.spans import SpanEncoder

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Recovered:
    """What was found at a start, in counts."""

    folders: int = 0
    lost_attempts: int = 0
    lost_operations: int = 0
    damaged_records: int = 0
    torn_bytes: int = 0
    failed_folders: int = 0
    """Left for the next start, because the disk refused."""


def adopt_orphans(root: Path, outbox: Outbox, parked: Parked) -> Recovered:
    """Recover every journal folder under `root` whose process is gone, and put its segments into the outbox."""
    found = Recovered()
    for path in Folder.others(root):
        folder = Folder.take(path)
        if folder is None:
            continue
        try:
            _settle(folder, parked, found)
            outbox.adopt(folder, folder.segments())
        except OSError:
            _log.exception("the journal %s could not be recovered; the next start tries again", path)
            found.failed_folders += 1
            folder.release()
    if found.lost_attempts:
        _log.warning(
            "%d attempts were under way when their gateway died; they are on record as lost", found.lost_attempts
        )
    return found


@dataclass(slots=True)
class _Unfinished:
    """The INTENT payloads of a folder, less what was finished."""

    attempts: dict[bytes, bytes] = field(default_factory=dict)
    """By attempt id."""
    operations: dict[bytes, dict[bytes, bytes]] = field(default_factory=dict)
    """By the operation's span id, then by attempt id."""

    def begin(self, payload: bytes, *, attempt_open: bool) -> None:
        attempt_id = payload[ATTEMPT_ID]
        self.operations.setdefault(payload[OPERATION_ID], {})[attempt_id] = payload
        if attempt_open:
            self.attempts[attempt_id] = payload

    def read(self, record: Record) -> None:
        if record.kind == INTENT:
            self.begin(record.payload, attempt_open=True)
        elif record.kind == CARRY:
            for attempt_open, payload in decode_carry(record.payload):
                self.begin(payload, attempt_open=attempt_open)
        elif record.kind in (END, WITHDRAWN):
            self.attempts.pop(record.payload[ATTEMPT_ID], None)
        elif record.kind == OPERATION:
            self.operations.pop(record.payload[:8], None)


def _settle(folder: Folder, parked: Parked, found: Recovered) -> None:
    """Leave no intent in that folder without an end. Raises OSError."""
    folder.ballast.unlink(missing_ok=True)
    for stale in folder.path.glob("*.tmp"):
        stale.unlink()
    segments = folder.segments()
    unfinished = _Unfinished()
    for path in segments:
        records = read_records(path, START)
        # What is left over in a segment after this is damage, and the shipper sets it aside.
        found.damaged_records += len(records.corrupt)
        if records.torn_bytes and path == segments[-1]:
            _cut(path, records.torn_bytes)
            found.torn_bytes += records.torn_bytes
        elif records.torn_bytes:
            found.damaged_records += 1
        for record in records.records:
            _read(unfinished, record, path, found)
    found.folders += 1
    if unfinished.attempts or unfinished.operations:
        intents = _decoded(unfinished, parked, found)
        last_sign = segments[-1].stat().st_mtime_ns
        _write(folder, int(segments[-1].stem) + 1, list(_lost(unfinished, intents, folder.path.name, last_sign, found)))


def _cut(path: Path, torn_bytes: int) -> None:
    """Cut what a kill left of the last write. Raises OSError."""
    before = path.stat()
    os.truncate(path, before.st_size - torn_bytes)
    # When it was changed is when the dead process last wrote.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _read(unfinished: _Unfinished, record: Record, path: Path, found: Recovered) -> None:
    try:
        unfinished.read(record)
    except RecordInvalid as error:
        _log.error("%s, byte %d: %s", path, record.offset, error)
        found.damaged_records += 1


def _decoded(unfinished: _Unfinished, parked: Parked, found: Recovered) -> dict[bytes, Intent]:
    """Every unfinished intent by its payload. One that cannot be read, another version's, is parked as it is."""
    decoded: dict[bytes, Intent] = {}
    payloads = dict.fromkeys(unfinished.attempts.values())
    payloads |= dict.fromkeys(payload for group in unfinished.operations.values() for payload in group.values())
    for payload in payloads:
        try:
            decoded[payload] = decode_intent(payload)
        except RecordInvalid as error:
            _log.error("attempt %s: %s", payload[ATTEMPT_ID].hex(), error)
            parked.span(str(error), payload)
            found.damaged_records += 1
    return decoded


def _lost(
    unfinished: _Unfinished, decoded: Mapping[bytes, Intent], instance: str, at: int, found: Recovered
) -> Iterator[tuple[int, bytes]]:
    """Kind and payload of each record that finishes what was not."""
    encoder = SpanEncoder(instance)
    for attempt_id, payload in unfinished.attempts.items():
        if payload in decoded:
            found.lost_attempts += 1
            yield END, attempt_id + encoder.attempt(_lost_attempt(decoded[payload], at))
    for span_id, payloads in unfinished.operations.items():
        intents = [decoded[payload] for payload in payloads.values() if payload in decoded]
        if intents:
            found.lost_operations += 1
            yield OPERATION, span_id + encoder.operation(_lost_operation(intents, at))


def _lost_attempt(intent: Intent, at: int) -> Attempt:
    return Attempt(
        intent=intent,
        ended_at=max(at, intent.started_at),
        outcome=Outcome.LOST,
        error_type=Reason.GATEWAY_LOST,
        completeness=Completeness.UNKNOWN,
    )


def _lost_operation(intents: list[Intent], at: int) -> Operation:
    last = max(intents, key=lambda intent: intent.attempt_index)
    started_at = last.operation_started_at or min(intent.started_at for intent in intents)
    return Operation(
        trace_id=last.trace_id,
        span_id=last.parent_span_id,
        parent_span_id=last.client_parent_span_id,
        request_id=last.request_id,
        started_at=started_at,
        ended_at=max(at, started_at),
        tenant=last.tenant,
        alias=last.alias,
        tier=last.tier,
        session=last.session,
        outcome=Outcome.LOST,
        error_type=Reason.GATEWAY_LOST,
        http_status=0,
        attempts=last.attempt_index + 1,
        fallback_depth=last.fallback_depth,
        queue_seconds=last.queue_seconds,
        first_token_seconds=None,
        stream=last.stream,
        cache_status=last.cache_status,
        operation=last.operation,
        route=last.route,
        tool_format=last.tool_format,
    )


def _write(folder: Folder, number: int, records: list[tuple[int, bytes]]) -> None:
    """All of it under its final name, or nothing."""
    making = folder.path / f"{number:08d}.tmp"
    writer = SegmentWriter(making)
    try:
        for kind, payload in records:
            writer.append(kind, payload)
        writer.sync()
    finally:
        writer.close()
    making.rename(folder.segment(number))
    sync_folder(folder.path)
