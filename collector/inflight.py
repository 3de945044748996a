"""How much of the memory is held by requests that are not answered yet; beyond the bound, newcomers are turned away,
and a sender beyond its own part of it before the others."""

import threading
from collections import Counter
from types import TracebackType
from typing import Self

from collector.refusals import Busy, Gone, TooMany


class Inflight:
    """The bound shared by all requests. Thread-safe: bodies are inflated in threads."""

    def __init__(self, bytes_max: int, *, retry_after_s: int, sender_bytes_max: int | None = None) -> None:
        """One sender's requests together may hold `sender_bytes_max`, so that its flood leaves room for the others."""
        self._bytes_max = bytes_max
        self._sender_bytes_max = bytes_max if sender_bytes_max is None else sender_bytes_max
        self._retry_after_s = retry_after_s
        self._lock = threading.Lock()
        self._by_sender: Counter[str] = Counter()
        self.bytes = 0

    def share(self, sender: str = "") -> "Share":
        """A request's own part, empty at first; leaving the `with` gives it back."""
        return Share(self, sender)

    def take(self, size: int, sender: str = "") -> None:
        """Count `size` bytes more. Raises Busy or TooMany, and counts nothing, when that passes a bound."""
        with self._lock:
            if self.bytes + size > self._bytes_max:
                raise Busy("too many bytes in flight; send it again", retry_after_s=self._retry_after_s)
            if self._by_sender[sender] + size > self._sender_bytes_max:
                why = "too many bytes of this sender are in flight; send it again"
                raise TooMany(why, retry_after_s=self._retry_after_s)
            self.bytes += size
            self._by_sender[sender] += size

    def give_back(self, size: int, sender: str = "") -> None:
        """Count `size` bytes less."""
        with self._lock:
            self.bytes -= size
            self._by_sender[sender] -= size


class Share:
    """What one request holds. A thread may still be at its body when it ends: from then on it gets nothing more."""

    def __init__(self, whole: Inflight, sender: str) -> None:
        self._whole = whole
        self._sender = sender
        self._lock = threading.Lock()
        self._ended = False
        self._bytes = 0

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Busy, TooMany; Gone once the request has ended."""
        with self._lock:
            if self._ended:
                raise Gone("the sender is gone")
            self._whole.take(size, self._sender)
            self._bytes += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._whole.give_back(self._bytes, self._sender)
            self._bytes = 0
            self._ended = True
