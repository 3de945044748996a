"""What could not be landed, its bytes and a JSON file beside them that says why. Nothing here is ever deleted."""

import contextlib
import os
from pathlib import Path

import orjson

from collector.batches import Batch
from collector.sealed import Segment
from gateway.domain.segments import sync_folder


class Parking:
    """The folder of parked things. Each call is safe on disk when it returns; each may be repeated. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder

    def batch(self, batch: Batch, payload: bytes, reason: str) -> None:
        """Keep a batch's OTLP bytes."""
        self._write(f"{batch.batch_id}.otlp", payload)
        self._write(f"{batch.batch_id}.json", orjson.dumps({"reason": reason, **batch.as_json()}))
        sync_folder(self._folder)

    def segment(self, segment: Segment, damage: tuple[str, ...]) -> None:
        """Keep a damaged segment whole; what is readable in it still goes its way."""
        kept = self._folder / segment.path.name
        kept.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.link(segment.path, kept)
        self._write(f"{segment.path.name}.json", orjson.dumps({"damage": damage}))
        sync_folder(self._folder)

    def _write(self, name: str, content: bytes) -> None:
        fd = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(fd)
