"""What replays began and what came of it, on disk before it is acted on; a run that was killed is finished by the next.

One file a run, in the segments' format. A file is deleted once nothing of it is open and none of its batches is kept.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path

import orjson

from collector.batches import Batch
from collector.replay_plan import Swap, generation
from gateway.domain.segments import SegmentWriter, read_records, record_start, sync_folder

log = logging.getLogger("tollway.collector.replay")

SUFFIX = ".replay"


class Kind(IntEnum):
    """The kinds of entries."""

    BEGUN = 1
    """Swaps are about to be made."""
    ATTEMPT = 2
    """One gets a new token, the one before having landed nothing."""
    ENDED = 3
    """The old rows are gone; or the new ones were not taken, and the old ones stay."""


START = record_start(Kind, rb"\{")


@dataclass(slots=True)
class ReplayState:
    """What the entries add up to."""

    open: dict[str, Swap] = field(default_factory=dict)
    """Begun and not ended, by the new name."""
    current: dict[str, str] = field(default_factory=dict)
    """The name that a batch's rows have now, by the one it landed under at first."""
    mapping: dict[str, str] = field(default_factory=dict)
    """The mapping that made those rows, by the same."""
    used: dict[str, int] = field(default_factory=dict)
    """The highest number behind a batch's name that was tried."""

    def enter(self, kind: int, entry: Mapping[str, object]) -> set[str]:
        """Enter one; the origins it is of. Raises KeyError, TypeError or ValueError for what is no entry."""
        match kind:
            case Kind.BEGUN:
                swaps = [_swap(raw) for raw in _list(entry["swaps"])]
                for swap in swaps:
                    self.open[swap.batch.batch_id] = swap
                    tried = max(self.used.get(swap.origin, 0), generation(swap.batch.batch_id))
                    self.used[swap.origin] = tried
                return {swap.origin for swap in swaps}
            case Kind.ATTEMPT:
                name = str(entry["batch_id"])
                if name in self.open:
                    self.open[name] = replace(self.open[name], attempt=int(str(entry["attempt"])))
            case Kind.ENDED:
                for replaced in _list(entry["replaced"]):
                    made = self.open.pop(str(replaced), None)
                    if made:
                        self.current[made.origin] = made.batch.batch_id
                        self.mapping[made.origin] = made.mapping
                for left in _list(entry["left"]):
                    self.open.pop(str(left), None)
            case _:
                raise ValueError(f"kind {kind}")
        return set()


class ReplayLedger:
    """The ledger of replays; one process's, which holds the lock."""

    def __init__(self, folder: Path, *, now_ms: int) -> None:
        """Reads what is there. Raises OSError."""
        self._folder = folder
        self.state = ReplayState()
        self._files: dict[Path, set[str]] = {}
        for path in sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: int(path.stem)):
            self._files[path] = self._read(path)
        newest = max((int(path.stem) for path in self._files), default=0)
        self._path = folder / f"{max(newest + 1, now_ms)}{SUFFIX}"
        self._writer: SegmentWriter | None = None

    def begin(self, swaps: Sequence[Swap]) -> None:
        """Enter swaps about to be made. Raises OSError."""
        self._write(Kind.BEGUN, {"swaps": [_as_json(swap) for swap in swaps]})

    def attempt(self, batch_id: str, attempt: int) -> None:
        """Enter that a batch gets a new token. Raises OSError."""
        self._write(Kind.ATTEMPT, {"batch_id": batch_id, "attempt": attempt})

    def end(self, *, replaced: Iterable[str], left: Mapping[str, str]) -> None:
        """Enter swaps that are made, and those whose old rows stay, with why; both by the new name. Raises OSError."""
        self._write(Kind.ENDED, {"replaced": list(replaced), "left": list(left), "why": list(left.values())})

    def forget(self, kept: Set[str]) -> None:
        """Delete the files that say nothing of kept batches, whose origins are `kept`, unless a swap is open."""
        if self.state.open:
            return
        for path, origins in list(self._files.items()):
            if path != self._path and not origins & kept:
                path.unlink(missing_ok=True)
                del self._files[path]

    def close(self) -> None:
        """Close the file."""
        if self._writer:
            self._writer.close()

    def _write(self, kind: Kind, entry: Mapping[str, object]) -> None:
        if self._writer is None:
            self._writer = SegmentWriter(self._path)
            sync_folder(self._folder)
        self._writer.append(kind, orjson.dumps(entry))
        self._writer.sync()
        self._files.setdefault(self._path, set()).update(self.state.enter(kind, entry))

    def _read(self, path: Path) -> set[str]:
        found = read_records(path, START)
        if found.corrupt:
            log.error("%s: %d damaged stretches; what they told is unknown", path, len(found.corrupt))
        origins: set[str] = set()
        for record in found.records:
            try:
                origins |= self.state.enter(record.kind, orjson.loads(record.payload))
            except (KeyError, TypeError, ValueError) as error:
                log.error("%s: the entry at %d makes no sense: %s", path, record.offset, error)
        return origins


def _as_json(swap: Swap) -> dict[str, object]:
    return {
        "old": swap.old,
        "kept": swap.kept,
        "mapping": swap.mapping,
        "attempt": swap.attempt,
        "batch": swap.batch.as_json(),
    }


def _swap(raw: object) -> Swap:
    if not isinstance(raw, dict):
        raise TypeError("a swap that is no object")
    batch = Batch.from_json(raw["batch"])
    return Swap(str(raw["old"]), batch, str(raw["kept"]), str(raw["mapping"]), int(raw["attempt"]))


def _list(raw: object) -> list[object]:
    if not isinstance(raw, list):
        raise TypeError("no list where one has to be")
    return raw
