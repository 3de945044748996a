"""Where an upstream's answer goes: head, data and end, pushed as the socket brings them, or one failure.

No queue and no task stand between a socket's read and the sink, so a sink must not block and should return soon.
"""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from gateway.domain.reasons import Reason

Headers: TypeAlias = list[tuple[bytes, bytes]]
"""Header names in lower case, with their values, in the order they came."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no answer, or no more of it."""

    reason: Reason
    sent: bool
    """Whether a byte of the request may have reached the upstream."""
    stale: bool = False
    """A kept connection died before a byte of the answer came."""


class Sink(Protocol):
    """Takes one answer. `head` comes once, then `data` any number of times, then `end`; or `failed`, at any point,
    after which nothing comes. Nothing comes after the call was cancelled either."""

    def sending(self) -> None:
        """The request's first byte goes out now."""

    def head(self, status: int, headers: Headers) -> None:
        """The final status (no 1xx) and the headers."""

    def data(self, piece: bytes) -> None:
        """What one read of the socket brought of the body, never empty."""

    def end(self) -> None:
        """The body is whole."""

    def failed(self, failure: Failure) -> None:
        """There will be no more."""
