"""One request under way at an upstream: what its caller holds, to hang up or to slow the answer down."""

from typing import Protocol

from gateway.upstream.sink import Sink


class Carrier(Protocol):
    """What carries a call: a connection, or the making of one."""

    def abort(self) -> None:
        """Hang up at once."""

    def pause(self) -> None:
        """Read no more for now."""

    def resume(self) -> None:
        """Read on."""


class Call:
    """Ends by its sink's `end` or `failed`, or by being cancelled; all its methods are harmless after that."""

    __slots__ = ("_carrier", "cancelled", "sink")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.cancelled = False
        self._carrier: Carrier | None = None

    def carried_by(self, carrier: Carrier | None) -> None:
        """Who carries it from now on; None when it has ended."""
        self._carrier = carrier

    @property
    def under_way(self) -> bool:
        """Whether more may still come."""
        return self._carrier is not None

    def cancel(self) -> None:
        """Hang up at once; the sink hears nothing after this."""
        self.cancelled = True
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.abort()

    def pause(self) -> None:
        """Read no more of the answer for now."""
        if self._carrier is not None:
            self._carrier.pause()

    def resume(self) -> None:
        """Read on."""
        if self._carrier is not None:
            self._carrier.resume()
