"""What nobody takes: refused spans, unreadable intents, damaged segments. Set aside, counted, never deleted by us.

They lie in `<root>/parked`, one file a process, in the journal's own format; `read_parked` gives them back with the
reason, so that they can be sent again once the cause is mended. Their bytes count against the journal's bound.
"""

from pathlib import Path

from gateway.domain.segments import SegmentWriter, read_records, sync_folder
from gateway.journal.records import PARKED, START, decode_parked, encode_parked


class Parked:
    """This process's parking place; one thread parks."""

    def __init__(self, root: Path, name: str) -> None:
        """`root` is the journal's root, `name` our folder's. Raises OSError."""
        self._folder = root / "parked"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._path = self._folder / f"{name}.parked"
        self._writer: SegmentWriter | None = None
        self.spans = 0
        """Parked by this process."""
        self.damaged_segments = 0
        self.bytes = sum(path.stat().st_size for path in self._folder.iterdir())

    def span(self, reason: str, span: bytes) -> None:
        """Set one span (or an intent's payload) aside; it survives power loss when this returns. Raises OSError."""
        if self._writer is None:
            self._writer = SegmentWriter(self._path)
            sync_folder(self._folder)
        before = self._writer.size
        self._writer.append(PARKED, encode_parked(reason, span))
        self._writer.sync()
        self.spans += 1
        self.bytes += self._writer.size - before

    def damaged(self, segment: Path) -> None:
        """Move a damaged segment here, whose sound records have been sent. Raises OSError."""
        kept = segment.rename(self._folder / f"{segment.parent.name}-{segment.name}.damaged")
        sync_folder(self._folder)
        self.damaged_segments += 1
        self.bytes += kept.stat().st_size

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def read_parked(path: Path) -> list[tuple[str, bytes]]:
    """Reason and OTLP bytes of each span in a `.parked` file, oldest first."""
    return [decode_parked(record.payload) for record in read_records(path, START).records if record.kind == PARKED]
