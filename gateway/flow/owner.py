"""Who asks for an upstream to be called: what it is told of the trial that it started."""

from typing import TYPE_CHECKING, Protocol

from gateway.domain.attempt import Attempt
from gateway.flow.answer import VendorAnswer
from gateway.ladder.ladder import Tried

if TYPE_CHECKING:
    from gateway.flow.trial import Trial


class Owner(Protocol):
    """Who asked for the trial. `booked` is called once, and at most one of `answered`,
    `streamed` and `failed`."""

    def booked(self, attempt: Attempt) -> None:
        """The trial has ended, and this is what the books hold of it. Comes before the others."""

    def flows(self, trial: "Trial", piece: bytes) -> None:
        """Bytes of a stream for the client; from the first of them on no other upstream can take over."""

    def answered(self, trial: "Trial", answer: VendorAnswer) -> None:
        """The whole answer."""

    def streamed(self, trial: "Trial") -> None:
        """The stream ended as it should."""

    def failed(self, trial: "Trial", tried: Tried, answer: VendorAnswer | None, *, told: bool) -> None:
        """No answer, or no more of it. `answer` is the vendor's own error, where there is one that a client may see;
        `told` says that the stream itself carried it to the client."""
