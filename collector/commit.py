"""Group commit: one thread writes the spool, one fdatasync covers all that arrived within a few milliseconds.

The event loop never waits for the disk; whoever appended is answered when its group is safe, or told that it is not.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from collector.books import Books
from collector.records import SpoolRecord
from collector.refusals import Busy
from collector.settings import Limits
from collector.spool import Spool

log = logging.getLogger("tollway.collector.commit")

IDLE_S = 0.25
SEAL_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class _Ticket:
    record: SpoolRecord
    arrived_at: float
    safe: "asyncio.Future[None] | None" = field(compare=False)
    """None = nobody waits for this one."""


class Committer:
    """The spool's writing side, with a thread of its own."""

    def __init__(
        self, spool: Spool, books: Books, limits: Limits, *, monotonic: Callable[[], float], now_ms: Callable[[], int]
    ) -> None:
        self._spool = spool
        self._books = books
        self._limits = limits
        self._monotonic = monotonic
        self._now_ms = now_ms
        self._queue: queue.SimpleQueue[_Ticket | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what is queued, close the spool, end the thread."""
        self._queue.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    async def append(self, record: SpoolRecord) -> None:
        """Return when the record is safe. Raises Busy when it is not kept."""
        safe: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put(_Ticket(record, self._monotonic(), safe))
        await safe

    def note(self, record: SpoolRecord) -> None:
        """Keep a record that nobody waits for, with the group that comes next."""
        self._queue.put(_Ticket(record, self._monotonic(), None))

    def _run(self) -> None:
        while not self._stopping:
            group = self._gather()
            if group:
                self._commit(group)
            try:
                now = self._monotonic()
                self._spool.seal_if_due(now)
                self._spool.recheck(now)
            except Exception:
                # A thread that ended would leave every sender waiting for an answer that never comes.
                log.exception("a segment could not be sealed and is tried again")
        self._spool.close()

    def _gather(self) -> list[_Ticket]:
        first = self._next(SEAL_POLL_S)
        if first is None:
            return []
        group = [first]
        size = len(first.record.body)
        closes_at = first.arrived_at + self._limits.commit_window_s
        while size < self._limits.commit_bytes:
            # What queued up during the last sync joins without waiting: its window may be over already.
            ticket = self._next(max(0.0, closes_at - self._monotonic()))
            if ticket is None:
                break
            group.append(ticket)
            size += len(ticket.record.body)
        return group

    def _next(self, timeout_s: float) -> _Ticket | None:
        try:
            ticket = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if ticket is None:
            self._stopping = True
        return ticket

    def _commit(self, group: Sequence[_Ticket]) -> None:
        error: Exception | None = None
        try:
            self._spool.append([ticket.record for ticket in group], now=self._monotonic(), now_ms=self._now_ms())
        except OSError as failure:
            error = self._busy(failure.strerror or str(failure))
        except Exception:
            # Whatever it was, these senders must be told to come again.
            log.exception("a group of %d bodies was not kept", len(group))
            error = self._busy("the spool failed")
        else:
            for ticket in group:
                self._books.received(ticket.record.sender, ticket.record.spans)
        self._settle(group, error)

    def _busy(self, why: str) -> Busy:
        return Busy(f"nothing could be kept: {why}", retry_after_s=self._limits.retry_after_s)

    def _settle(self, group: Sequence[_Ticket], error: Exception | None) -> None:
        waiting = [ticket.safe for ticket in group if ticket.safe]
        for loop in {future.get_loop() for future in waiting}:
            mine = [future for future in waiting if future.get_loop() is loop]
            try:
                loop.call_soon_threadsafe(_answer, mine, error)
            except RuntimeError:
                log.info("%d senders were gone before their bodies were kept", len(mine))


def _answer(futures: "Sequence[asyncio.Future[None]]", error: Exception | None) -> None:
    for future in futures:
        if future.done():
            continue
        if error:
            future.set_exception(error)
        else:
            future.set_result(None)
