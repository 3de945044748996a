"""How much the journal may take of disk and time, and the refusal when that is reached."""

import errno
from dataclasses import dataclass


class JournalFull(OSError):
    """No room to record an attempt, so it must not be made."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.ENOSPC, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    max_bytes: int = 2 * 1024**3
    """All that may wait on the disk, the parked and what dead siblings left included."""
    segment_bytes: int = 4 * 1024**2
    """A segment costs a file, a flush of its folder and a delivery, whatever is in it: of 1 MiB that was a twentieth of
    the gateway's CPU under load. At lesser loads a segment's age seals it first."""
    seal_after_s: float = 0.5
    """How long a span waits in an open segment before it is handed to the shipper."""
    sync_every_s: float = 0.05
    """The window that a power loss may take."""
    reserve_bytes: int = 4096
    """Kept for each attempt and each operation under way: its end is always written."""
    content_bytes: int = 32 * 1024
    """The longest prompt or answer that a tier's logging policy writes down. Room for one of each is kept besides for
    an attempt under way that has content: its span tells both."""

    @property
    def ballast_bytes(self) -> int:
        """Held back on the disk itself, against whatever else fills it."""
        return min(4 * 1024**2, self.max_bytes // 16)
