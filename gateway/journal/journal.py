"""The journal of one gateway process: an intent before an upstream is called, a span when the attempt has ended.

What it promises:
- An intent that returned survives kill -9, and ends as exactly one span: the attempt's own, or one with outcome `lost`.
- After power loss that holds for all but the last 50 ms, and without that window for `intent_synced`.
- When its bound or the disk is reached, new intents are refused (JournalFull), and `full` says why; attempts under
  way keep the room they need. Only what costs nothing (an operation or a refusal that never held an intent, a
  transition) is then counted instead of recorded.
- A prompt that a logging policy keeps is written with its intent and in its span. That of an attempt which died with
  the process can be lost; the attempt cannot.
It sends nothing: that is the shipper's.
"""

import asyncio
import logging
import threading
from dataclasses import replace
from pathlib import Path

from gateway.domain import clock
from gateway.domain.attempt import Attempt, Feedback, Intent, Operation, Outcome, Transition
from gateway.journal import records
from gateway.journal.ballast import Ballast
from gateway.journal.folder import Folder
from gateway.journal.limits import JournalFull, Limits
from gateway.journal.log import Log
from gateway.journal.outbox import Outbox
from gateway.journal.parked import Parked
from gateway.journal.recovery import adopt_orphans
from gateway.journal.stats import JournalStats
from gateway.telemetry.spans import SpanEncoder

_logger = logging.getLogger(__name__)


class Journal:
    """Open for as long as the process serves. Any thread may call; nothing waits for the disk but `intent_synced`."""

    def __init__(self, root: Path, worker: str, *, limits: Limits | None = None, keep: bool = True) -> None:
        """Makes and locks a folder of our own under `root`, and recovers those of dead processes.

        `keep=False` starts no thread: the caller calls `tick`. Raises ValueError for a bad worker name, OSError.
        """
        self._limits = limits or Limits()
        self._folder = Folder.create(root, worker)
        self.outbox = Outbox()
        self.parked = Parked(root, self._folder.path.name)
        self.recovered = adopt_orphans(root, self.outbox, self.parked)
        self._log = Log(self._folder, self.outbox)
        self._lock = self._log.lock
        self._spans = SpanEncoder(self._folder.path.name)
        self._open: dict[str, bytes] = {}
        self._operations: dict[str, bytes] = {}
        self._with_content: set[str] = set()
        """The open attempts that have some."""
        self._backlog: list[tuple[int, str, bytes]] = []
        self._ballast = Ballast(self._folder.ballast, self._limits.ballast_bytes)
        self._trouble = ""
        self.full = ""
        """Why an intent was refused, or would have been; once said it stays, though there be room again."""
        self._closed = False
        self._refused = self._uncounted = 0
        self._ships_since: float | None = None
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._mend()
        self._keeper = threading.Thread(target=self._keep_synced, name="journal", daemon=True) if keep else None
        if self._keeper:
            self._keeper.start()

    @property
    def instance(self) -> str:
        """This process's name in its spans (service.instance.id): its folder's."""
        return self._folder.path.name

    def intent(self, intent: Intent) -> None:
        """Record an attempt about to be made; when this returns, kill -9 cannot hide it. Raises JournalFull."""
        payload = carried = records.encode_intent(intent)
        if intent.request_content:
            # Written once: carried along from segment to segment, the prompts of long streams would fill the disk.
            carried = records.encode_intent(replace(intent, request_content=""))
        with self._lock:
            self._admit(len(payload), content=bool(intent.request_content))
            try:
                self._log.append(records.INTENT, payload)
            except OSError as error:
                self._in_trouble(error)
                raise JournalFull(f"the journal cannot be written: {error.strerror}") from error
            self._open[intent.attempt_id] = carried
            if intent.request_content:
                self._with_content.add(intent.attempt_id)
            self._operations[intent.parent_span_id] = carried
            self._appended()

    async def intent_synced(self, intent: Intent) -> None:
        """The same, and on the disk itself before this returns. Raises JournalFull.

        If it raises, or is cancelled, the intent is withdrawn: the attempt must not be made, and needs no end.
        """
        self.intent(intent)
        try:
            with self._lock:
                position = self._log.position
            await asyncio.to_thread(self._log.sync, position)
        except BaseException as error:
            self._withdraw(intent)
            if isinstance(error, OSError):
                raise JournalFull(f"the disk does not keep the journal: {error.strerror}") from error
            raise

    def end(self, attempt: Attempt) -> None:
        """Record how an attempt ended, once for each intent; one refused before any intent is recorded too."""
        payload = bytes.fromhex(attempt.intent.attempt_id) + self._spans.attempt(attempt)
        key = attempt.intent.attempt_id
        with self._lock:
            admitted = key in self._open or attempt.outcome is not Outcome.REFUSED
            self._keep(records.END, key, payload, admitted=admitted)

    def late(self, attempt: Attempt) -> None:
        """Record what a vendor did by itself and told afterwards (a batch's line): there was no intent, and it can be
        asked for again. Raises JournalFull."""
        self._write(records.END, bytes.fromhex(attempt.intent.attempt_id) + self._spans.attempt(attempt))

    def feedback(self, feedback: Feedback) -> None:
        """Record what a tenant said of an answer. Raises JournalFull."""
        self._write(records.FEEDBACK, bytes.fromhex(feedback.span_id) + self._spans.feedback(feedback))

    async def flushed(self) -> None:
        """Return once all that was recorded until now is on the disk itself. Raises OSError."""
        with self._lock:
            position = self._log.position
        await asyncio.to_thread(self._log.sync, position)

    def operation(self, operation: Operation) -> None:
        """Record a client's request, ended; after the ends of its attempts."""
        payload = bytes.fromhex(operation.span_id) + self._spans.operation(operation)
        key = operation.span_id
        with self._lock:
            self._keep(records.OPERATION, key, payload, admitted=key in self._operations)

    def transition(self, transition: Transition) -> None:
        """Record that a breaker or a region moved."""
        payload = bytes.fromhex(transition.span_id) + self._spans.transition(transition)
        with self._lock:
            self._keep(records.TRANSITION, transition.span_id, payload, admitted=False)

    def seal(self) -> None:
        """Hand all spans recorded so far to the outbox, without waiting for a segment's age. Raises OSError."""
        with self._lock:
            if self._log.ships:
                self._log.rotate(self._unfinished())
        self._log.sync()

    def tick(self, now: float) -> None:
        """Seal by age, flush, mend; `now` in seconds of `clock.monotonic`. The journal's own thread calls this."""
        try:
            with self._lock:
                if not self._log.ships:
                    self._ships_since = None
                elif self._ships_since is None:
                    self._ships_since = now
                elif now - self._ships_since >= self._limits.seal_after_s:
                    self._ships_since = None
                    self._rotate()
            self._log.sync()
        except OSError as error:
            with self._lock:
                self._in_trouble(error)
        else:
            self._mend()

    def stats(self) -> JournalStats:
        """Counts, for /metrics."""
        with self._lock:
            return JournalStats(
                open_intents=len(self._open),
                open_operations=len(self._operations),
                bytes=self._bytes,
                segments_pending=len(self.outbox),
                refused_intents=self._refused,
                uncounted_operations=self._uncounted,
                lost_recovered=self.recovered.lost_attempts,
                parked_spans=self.parked.spans,
                parked_bytes=self.parked.bytes,
                damaged_segments=self.parked.damaged_segments,
                trouble=self._trouble,
            )

    def close(self) -> None:
        """Flush, and give up the folder: removed if all of it was shipped, else left for the next start."""
        if self._closed:
            return
        self._stop.set()
        self._dirty.set()
        if self._keeper:
            self._keeper.join()
        with self._lock:
            self._flush_backlog()
        try:
            self._log.sync()
        except OSError as error:
            _logger.error("the journal's last flush failed: %s", error)
        with self._lock:
            self._closed = True
        self._log.close()
        self.parked.close()
        self._ballast.drop()
        self._leave()

    def _write(self, kind: int, payload: bytes) -> None:
        """Write a record that may be refused."""
        with self._lock:
            self._admit(len(payload))
            try:
                self._log.append(kind, payload)
            except OSError as error:
                self._in_trouble(error)
                raise JournalFull(f"the journal cannot be written: {error.strerror}") from error
            self._appended()

    def _admit(self, size: int, *, content: bool = False) -> None:
        if self._closed or self._trouble:
            self._refused += 1
            raise JournalFull(self._trouble or "the journal is closed")
        if not self._has_room(size, content=content):
            self._refused += 1
            self.full = f"the journal holds {self._bytes} of {self._limits.max_bytes} bytes that nobody took yet"
            raise JournalFull(self.full)

    @property
    def _bytes(self) -> int:
        return self._log.size + self.outbox.bytes + self.parked.bytes

    def _has_room(self, size: int, *, content: bool = False) -> bool:
        under_way = len(self._open) + len(self._operations) + 2
        with_content = len(self._with_content) + content
        reserved = under_way * self._limits.reserve_bytes + with_content * 2 * self._limits.content_bytes
        return self._bytes + size + reserved <= self._limits.max_bytes

    def _keep(self, kind: int, key: str, payload: bytes, *, admitted: bool) -> None:
        """Write a record that must not be refused, now or as soon as the disk lets us. Under the lock."""
        if not admitted and (self._trouble or not self._has_room(len(payload))):
            self._uncounted += 1
            return
        self._backlog.append((kind, key, payload))
        self._flush_backlog()
        self._appended()

    def _flush_backlog(self) -> None:
        while self._backlog:
            kind, key, payload = self._backlog[0]
            try:
                self._log.append(kind, payload)
            except OSError as error:
                self._in_trouble(error)
                if self._ballast.drop():
                    continue
                return
            del self._backlog[0]
            if kind != records.TRANSITION:
                (self._operations if kind == records.OPERATION else self._open).pop(key, None)
                self._with_content.discard(key)

    def _withdraw(self, intent: Intent) -> None:
        with self._lock:
            self._keep(records.WITHDRAWN, intent.attempt_id, bytes.fromhex(intent.attempt_id), admitted=True)

    def _appended(self) -> None:
        if self._log.grown >= self._limits.segment_bytes:
            self._rotate()
        if not self._dirty.is_set():
            self._dirty.set()

    def _rotate(self) -> None:
        """Rotate if the disk lets us; the segment grows on if it does not. Under the lock."""
        try:
            self._log.rotate(self._unfinished())
        except OSError as error:
            self._in_trouble(error)
            self._ballast.drop()

    def _unfinished(self) -> bytes:
        entries = [(True, payload) for payload in self._open.values()]
        for payload in self._operations.values():
            if payload[records.ATTEMPT_ID].hex() not in self._open:
                entries.append((False, payload))
        return records.encode_carry(entries)

    def _in_trouble(self, error: OSError) -> None:
        if not self._trouble:
            _logger.error("the journal cannot write, so new attempts are refused: %s", error)
        self._trouble = self.full = error.strerror or str(error)

    def _mend(self) -> None:
        """Take on ballast, write what could not be written, and admit again."""
        if self._ballast.held and not self._trouble:
            return
        with self._lock:
            try:
                self._flush_backlog()
                self._ballast.take_on()
            except OSError as error:
                self._in_trouble(error)
                return
            if self._trouble and not self._backlog:
                _logger.warning("the journal writes again")
                self._trouble = ""

    def _keep_synced(self) -> None:
        while not self._stop.is_set():
            if not (self._log.ships or self._trouble):
                self._dirty.wait()
            self._stop.wait(self._limits.sync_every_s)
            self._dirty.clear()
            try:
                self.tick(clock.monotonic())
            except Exception:
                # Without this thread nothing is flushed or shipped; it outlives any fault.
                _logger.exception("the journal's thread met a fault of ours")

    def _leave(self) -> None:
        nothing_left = not (self._open or self._operations or self._backlog or self._log.ships or self.outbox.owns)
        self.outbox.release()
        if nothing_left:
            for path in self._folder.segments():
                path.unlink()
            self._folder.remove()
        else:
            self._folder.release()
