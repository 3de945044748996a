"""A journal on a disk that fills up, as a process of its own: prints what it saw, as JSON.

    python -m tests.gateway.journal.full_disk ROOT FILLER_BYTES FILE_BYTES_MAX

It begins attempts until one is refused, ends all of them while the disk stays full, makes room, waits until the journal
admits again, and dies without closing. FILLER_BYTES is what somebody else takes of the disk meanwhile; FILE_BYTES_MAX
bounds each file instead (0 = no bound), where no small disk can be mounted.
"""

import json
import os
import resource
import sys
from pathlib import Path

from gateway.domain.attempt import Intent
from gateway.journal.journal import Journal
from gateway.journal.limits import JournalFull, Limits
from tests.gateway import facts
from tests.gateway.journal.reading import operations, outcomes, ship

LIMITS = Limits(max_bytes=1024**2, segment_bytes=1024**2)


def fill_disk(root: Path, size: int) -> None:
    """Somebody else's file, as large as there is room for."""
    fd = os.open(root / "parked" / "filler", os.O_WRONLY | os.O_CREAT)
    try:
        while size > 0:
            size -= os.write(fd, bytes(min(size, 4096)))
    except OSError:
        pass
    finally:
        os.close(fd)


def begin(books: Journal, most: int) -> tuple[list[Intent], str]:
    """The attempts that were admitted, and why the next was not."""
    begun: list[Intent] = []
    while len(begun) < most:
        intent = facts.intent()
        try:
            books.intent(intent)
        except JournalFull as refusal:
            return begun, str(refusal)
        begun.append(intent)
    return begun, ""


def main(root: Path, filler: int, file_bytes_max: int) -> dict[str, object]:
    """Fill, end, mend; what was seen."""
    books = Journal(root, "worker-0", limits=LIMITS, keep=False)
    begun, _ = begin(books, 20)
    if file_bytes_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, resource.RLIM_INFINITY))
    fill_disk(root, filler)
    more, refusal = begin(books, 1000)
    begun += more
    for intent in begun:
        books.end(facts.attempt(intent))
        books.operation(facts.operation(intent))
    trouble, waiting = books.stats().trouble, len(books._backlog)
    (root / "parked" / "filler").unlink()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    shipped = []
    for now in (0.0, 1.0, 2.0, 3.0):
        books.tick(now)
        shipped += ship(books.outbox)
    books.intent(facts.intent())
    return {
        "begun": sorted(intent.attempt_id for intent in begun),
        "refusal": refusal,
        "trouble": trouble,
        "waiting_in_memory": waiting,
        "shipped": outcomes(shipped),
        "operations": len(operations(shipped)),
        "trouble_after": books.stats().trouble,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201 - The answer.
