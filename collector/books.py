"""The books: received = stored + duplicate + parked + pending, in spans, by sender, at every moment.

Each move is one entry under one lock. `pending` is counted on its own, so that a span that was forgotten, or counted
twice, shows as a drift instead of vanishing in a subtraction.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """One sender's spans."""

    received: int = 0
    """Acknowledged, resent ones included."""
    stored: int = 0
    """In the store, by its own count."""
    duplicate: int = 0
    """Known already, and left out."""
    parked: int = 0
    """Kept aside: refused by the store, or damaged on disk."""
    pending: int = 0
    """In the spool, on their way."""

    @property
    def drift(self) -> int:
        """What the books do not explain; anything but 0 is a fault of ours."""
        return self.received - self.stored - self.duplicate - self.parked - self.pending

    def moved(
        self, *, received: int = 0, stored: int = 0, duplicate: int = 0, parked: int = 0, pending: int = 0
    ) -> "Account":
        """The account after such a move."""
        return Account(
            received=self.received + received,
            stored=self.stored + stored,
            duplicate=self.duplicate + duplicate,
            parked=self.parked + parked,
            pending=self.pending + pending,
        )


class Books:
    """Thread-safe: every thread of the collector enters its part."""

    def __init__(self, opening: Mapping[str, Account] | None = None) -> None:
        """`opening` is what the disk told at the start."""
        self._lock = threading.Lock()
        self._accounts: dict[str, Account] = dict(opening or {})

    def received(self, sender: str, spans: int) -> None:
        """Spans were kept; their sender is told so after this."""
        self._enter(sender, received=spans, pending=spans)

    def duplicate(self, sender: str, spans: int) -> None:
        """Spans on their way were found to be known."""
        self._enter(sender, duplicate=spans, pending=-spans)

    def stored(self, sender: str, spans: int) -> None:
        """Spans on their way were counted in the store."""
        self._enter(sender, stored=spans, pending=-spans)

    def parked(self, sender: str, spans: int) -> None:
        """Spans on their way were set aside."""
        self._enter(sender, parked=spans, pending=-spans)

    def accounts(self) -> dict[str, Account]:
        """All accounts, of one moment."""
        with self._lock:
            return dict(self._accounts)

    def _enter(self, sender: str, **move: int) -> None:
        with self._lock:
            self._accounts[sender] = self._accounts.get(sender, Account()).moved(**move)
