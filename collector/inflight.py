"""How much of the memory is held by requests that are not answered yet; beyond the bound, newcomers are turned away."""

import threading
from types import TracebackType
from typing import Self

from collector.refusals import Busy


class Inflight:
    """The bound shared by all requests. Thread-safe: bodies are inflated in threads."""

    def __init__(self, bytes_max: int, *, retry_after_s: int) -> None:
        self._bytes_max = bytes_max
        self._retry_after_s = retry_after_s
        self._lock = threading.Lock()
        self.bytes = 0

    def share(self) -> "Share":
        """A request's own part, empty at first; leaving the `with` gives it back."""
        return Share(self)

    def take(self, size: int) -> None:
        """Count `size` bytes more. Raises Busy, and counts nothing, when that passes the bound."""
        with self._lock:
            if self.bytes + size > self._bytes_max:
                raise Busy("too many bytes in flight; send it again", retry_after_s=self._retry_after_s)
            self.bytes += size

    def give_back(self, size: int) -> None:
        """Count `size` bytes less."""
        with self._lock:
            self.bytes -= size


class Share:
    """What one request holds."""

    def __init__(self, whole: Inflight) -> None:
        self._whole = whole
        self._bytes = 0

    def take(self, size: int) -> None:
        """Hold `size` bytes more. Raises Busy."""
        self._whole.take(size)
        self._bytes += size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._whole.give_back(self._bytes)
        self._bytes = 0
