"""Which relay a stream needs: by the kind of request that it answers."""

from gateway.relay.relay import Relay
from gateway.relay.responses import ResponsesRelay
from gateway.relay.stream import StreamRelay, Wants
from gateway.wire.body import ModelRequest
from gateway.wire.kinds import Kind


def relay_of(request: ModelRequest, *, running_usage: bool) -> Relay:
    """The relay of that request's answer; `running_usage` says whether usage was asked for in every chunk."""
    if request.kind is Kind.RESPONSES:
        return ResponsesRelay()
    wants = Wants(tail=request.wants_usage, running=request.wants_running_usage)
    return StreamRelay(wants, running_usage=running_usage, choices=request.finishes)
