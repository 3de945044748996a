"""Which way a request that was read whole goes through the gateway."""

from typing import Protocol

from gateway.batching.member import Member
from gateway.flow.exchange import Exchange
from gateway.flow.plane import Plane
from gateway.wire.arrival import Arrival, Client


class Handler(Protocol):
    """What the client's side of a request talks to, once it has started it."""

    def start(self) -> None:
        """Begin; the answer, or a refusal, goes to the client, perhaps before this returns."""

    def client_gone(self) -> None:
        """The client hung up."""

    def pause(self) -> None:
        """The client's buffer is full."""

    def resume(self) -> None:
        """The client's buffer has room again."""


def handler_of(plane: Plane, client: Client, arrival: Arrival) -> Handler:
    """Who answers that request."""
    return Member(plane, client, arrival) if plane.gathers else Exchange(plane, client, arrival)
