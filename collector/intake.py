"""What becomes of a request once its bytes are here, whatever protocol brought them.

Inflated, turned into protobuf if it is JSON, then kept (traces) or answered as not kept. Every byte held on the way is
counted into the request's share of what may be in flight; what decoding JSON takes beyond that is bounded by doing one
large body at a time.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from collector.inflate import inflate_beside
from collector.inflight import Inflight, Share
from collector.metrics import ReceiveMetrics
from collector.otlp_json import to_protobuf
from collector.receiver import OFF_LOOP_BYTES, Receiver
from collector.refusals import Busy, Refused, TooLarge
from collector.settings import Limits, Sender
from collector.signals import TRACES, Signal
from collector.tokens import Doorkeeper

log = logging.getLogger("tollway.collector.intake")


@dataclass(frozen=True, slots=True)
class Form:
    """How a request is written."""

    protocol: str
    """http or grpc"""
    encoding: str
    """protobuf or json; unknown = neither"""
    compression: str = ""
    """gzip, zstd or deflate; "" = none"""


class Intake:
    """The part of receiving that all protocols share; belongs to one event loop."""

    def __init__(
        self,
        *,
        doorkeeper: Doorkeeper,
        receiver: Receiver,
        limits: Limits,
        metrics: ReceiveMetrics,
        monotonic: Callable[[], float],
    ) -> None:
        self.limits = limits
        self._doorkeeper = doorkeeper
        self._receiver = receiver
        self._metrics = metrics
        self._monotonic = monotonic
        self._json_turn = asyncio.Lock()
        self.inflight = Inflight(
            limits.inflight_bytes_max,
            retry_after_s=limits.retry_after_s,
            sender_bytes_max=limits.sender_inflight_bytes_max,
        )

    def admit(self, authorization: str, signal: Signal) -> Sender:
        """Who sends, before a byte of the body is read. Raises Unauthenticated; Busy while no trace is taken."""
        sender = self._doorkeeper.admit(authorization)
        if signal is TRACES:
            self._receiver.check_room()
        return sender

    async def take(self, sender: Sender, signal: Signal, raw: bytes, form: Form, share: Share) -> Any:
        """The response message, once what is kept is safe. `raw` is counted in `share` already. Raises Refused."""
        arrived = self._monotonic()
        body = await self._plain(raw, form, share)
        if form.encoding == "json":
            body = await self._from_json(body, signal, share)
        if signal is TRACES:
            await self._receiver.take_traces(sender, body)
            answer = signal.response()
            self._metrics.received.labels(form.protocol, form.encoding, form.compression or "none").inc()
        elif len(body) > OFF_LOOP_BYTES:
            answer = await asyncio.to_thread(signal.not_kept, body)
        else:
            answer = signal.not_kept(body)
        if signal is not TRACES:
            self._metrics.refused(form.protocol, form.encoding, f"{signal.name}_not_kept")
        self._metrics.ack_seconds.observe(self._monotonic() - arrived)
        return answer

    def refused(self, error: Exception, form: Form) -> Refused:
        """What a sender is told of that failure, counted. Whatever is not a refusal may be over at the next try."""
        if not isinstance(error, Refused):
            log.error("a request could not be taken", exc_info=error)
            error = Busy("the collector failed; send it again", retry_after_s=self.limits.retry_after_s)
        self._metrics.refused(form.protocol, form.encoding, error.reason)
        return error

    async def _plain(self, raw: bytes, form: Form, share: Share) -> bytes:
        bytes_max = self.limits.inflated_bytes_max
        if form.compression:
            return await inflate_beside(raw, form.compression, bytes_max=bytes_max, share=share)
        if len(raw) > bytes_max:
            raise TooLarge(f"the body has more than {bytes_max} bytes")
        return raw

    async def _from_json(self, body: bytes, signal: Signal, share: Share) -> bytes:
        descriptor, memory_max = signal.request.DESCRIPTOR, self.limits.json_memory_max
        if len(body) > OFF_LOOP_BYTES:
            async with self._json_turn:
                made = await asyncio.to_thread(to_protobuf, body, descriptor, memory_max=memory_max)
        else:
            made = to_protobuf(body, descriptor, memory_max=memory_max)
        if len(made) > self.limits.inflated_bytes_max:
            raise TooLarge(f"the body has more than {self.limits.inflated_bytes_max} bytes as protobuf")
        share.take(len(made))
        return made
