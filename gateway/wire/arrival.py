"""A request for an answer as it reached us, and what its headers say that we decide by."""

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol

from gateway.config import Tenant
from gateway.domain import ids
from gateway.domain.ids import RequestId, SpanId, TraceId, new_request_id, new_trace_id
from gateway.wire.kinds import Kind

_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
NO_TRACE = b"0" * 32
NO_SPAN = b"0" * 16
USER_AGENT_MAX = 256


@dataclass(slots=True)
class Arrival:
    """One request, read whole."""

    tenant: Tenant
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, in the order they came."""
    named: dict[bytes, bytes]
    """The same by name; of a repeated one, the last."""
    body: bytes
    started_at: int
    """Unix nanoseconds when its head was read."""
    kind: Kind = Kind.CHAT

    def request_id(self, trace_id: TraceId, span_id: SpanId) -> RequestId:
        """The client's `x-request-id` if it sent one that fits a header and a column, else its operation's span's."""
        return named_by_client(self.named) or ids.request_id(trace_id, span_id)

    def names_itself(self) -> bool:
        """Whether the client sent an `x-request-id` of its own that fits."""
        return named_by_client(self.named) is not None

    def trace(self) -> tuple[TraceId, str]:
        """The trace to join and the client's span in it; a new trace and "" without a valid `traceparent`.

        The flags are not read: a caller's `-00` cannot switch its own metering off.
        """
        sent = self.named.get(b"traceparent")
        found = _TRACEPARENT.fullmatch(sent) if sent is not None else None
        if found is None or found[1] == NO_TRACE or found[2] == NO_SPAN:
            return new_trace_id(), ""
        return TraceId(found[1].decode()), found[2].decode()

    def tier(self) -> str | None:
        """The tier asked for, if one was."""
        value = self.named.get(b"x-tollway-tier")
        return value.decode("latin-1") if value else None

    def session(self) -> str:
        """A hash of the session named by `x-tollway-session`, of no use outside its tenant; "" for none."""
        value = self.named.get(b"x-tollway-session")
        if not value:
            return ""
        return hashlib.sha256(self.tenant.name.encode() + b"\0" + value).hexdigest()[:32]

    def user_agent(self) -> str:
        """What the client calls itself."""
        return self.named.get(b"user-agent", b"")[:USER_AGENT_MAX].decode("latin-1")


def fits(sent: bytes) -> bool:
    """Whether a request id fits a header and a column."""
    return _REQUEST_ID.fullmatch(sent) is not None


def named_by_client(named: dict[bytes, bytes]) -> RequestId | None:
    """The client's own `x-request-id`; None = it sent none that fits."""
    sent = named.get(b"x-request-id")
    return RequestId(sent.decode()) if sent is not None and fits(sent) else None


def request_id(named: dict[bytes, bytes]) -> RequestId:
    """The id of a request that has no operation: the client's, else one of ours."""
    return named_by_client(named) or new_request_id()


class Client(Protocol):
    """The client's side of one request: it gets one whole answer, or the start of a stream, pieces and its finish."""

    paused: bool
    """Its buffer is full: pieces are still taken, but more should not be made."""

    def answer(self, status: int, head: bytes, body: bytes) -> None:
        """A whole answer; `head` is header lines without the length."""

    def start(self, status: int, head: bytes) -> None:
        """The head of a stream."""

    def write(self, piece: bytes) -> None:
        """A piece of the stream."""

    def finish(self) -> None:
        """The stream's end."""

    def cut(self) -> None:
        """Break the connection off."""
