"""One trace request, from inflated bytes to an acknowledgement; whatever protocol it came by.

Returns only when the body, or the same body sent before, is safe on disk. Nothing here knows HTTP or the store.
"""

import asyncio
from collections.abc import Callable

from collector.commit import Committer
from collector.otlp import KEY_BYTES, SpansRead, body_digest, read_spans
from collector.recent import RecentBodies
from collector.records import Kind, SpoolRecord
from collector.refusals import Busy
from collector.settings import Limits, Sender
from collector.spool import Spool

OFF_LOOP_BYTES = 256 * 1024
"""Above this a body is taken apart in a thread, so that others are answered meanwhile."""


class Receiver:
    """Takes bodies for all protocols; belongs to one event loop."""

    def __init__(
        self, *, spool: Spool, committer: Committer, recent: RecentBodies, limits: Limits, now_ms: Callable[[], int]
    ) -> None:
        self._spool = spool
        self._committer = committer
        self._recent = recent
        self._limits = limits
        self._now_ms = now_ms
        self._turn = asyncio.Lock()

    def check_room(self) -> None:
        """Raises Busy while nothing is taken; cheap enough to ask before a body is read."""
        why = self._spool.refusing
        if why:
            raise Busy(why, retry_after_s=self._limits.retry_after_s)

    async def take_traces(self, sender: Sender, body: bytes) -> int:
        """Keep an ExportTraceServiceRequest and return how many spans it has, once it is safe.

        Raises BadRequest for what is not one, Busy when it cannot be kept now.
        """
        self.check_room()
        received_ms = self._now_ms()
        keys, own = await self._read(body)
        spans = len(keys) // KEY_BYTES
        if not spans:
            return 0
        key = (sender.name, body_digest(body, keys))
        known = await self._recent.begin(key)
        if known is not None:
            self._committer.note(_record(Kind.RESENT, sender, received_ms, key[1], known))
            return known
        kept: int | None = None
        try:
            await self._committer.append(_record(Kind.BODY, sender, received_ms, key[1], spans, keys, body, own=own))
            kept = spans
            return spans
        finally:
            self._recent.settle(key, spans=kept, now_ms=received_ms)

    async def _read(self, body: bytes) -> SpansRead:
        if len(body) <= OFF_LOOP_BYTES:
            return read_spans(body)
        # Decoded, a body may be many times its size: one at a time, which is no slower, for decoding holds the GIL.
        async with self._turn:
            return await asyncio.to_thread(read_spans, body)


def _record(
    kind: Kind,
    sender: Sender,
    received_ms: int,
    body_digest: bytes,
    spans: int,
    keys: bytes = b"",
    body: bytes = b"",
    *,
    own: bool = False,
) -> SpoolRecord:
    return SpoolRecord(
        kind=kind,
        sender=sender.name,
        tenant=sender.tenant,
        received_ms=received_ms,
        digest=body_digest,
        spans=spans,
        own=own and sender.may_name_tenants,
        keys=keys,
        body=body,
    )
