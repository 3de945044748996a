"""A gateway's journal under traffic, as a process to be killed: says each thing it has recorded, after it has.

    python -m tests.gateway.journal.writer ROOT WORKER URL [--drain]

Lines on stdout: `began ID`, `ended ID`, `answered SPAN`. With --drain it only ships what is left, and ends with 0 if
all of it was taken. Small segments and short times, so that few records cross many rotations.
"""

import asyncio
import random
import sys
from pathlib import Path

from gateway.domain.attempt import Intent
from gateway.journal.journal import Journal
from gateway.journal.limits import Limits
from gateway.journal.shipper import Backoff, Endpoint, Shipper
from tests.gateway import facts

LIMITS = Limits(segment_bytes=16_384, seal_after_s=0.02, sync_every_s=0.005)


def say(word: str, name: str) -> None:
    """One line in one write, so that whoever reads it knows that the call before it had returned."""
    sys.stdout.write(f"{word} {name}\n")
    sys.stdout.flush()


async def traffic(books: Journal) -> None:
    """Begin, end and answer for ever, with up to 40 attempts under way."""
    draw = random.Random()
    running: list[Intent] = []
    while True:
        intent = facts.intent()
        if draw.random() < 0.05:
            await books.intent_synced(intent)
        else:
            books.intent(intent)
        say("began", intent.attempt_id)
        running.append(intent)
        while running and draw.random() < len(running) / 40:
            done = running.pop(draw.randrange(len(running)))
            books.end(facts.attempt(done))
            say("ended", done.attempt_id)
            books.operation(facts.operation(done))
            say("answered", done.parent_span_id)


def main(root: str, worker: str, url: str, *flags: str) -> int:
    """Run until killed, or drained."""
    books = Journal(Path(root), worker, limits=LIMITS)
    shipper = Shipper(books, Endpoint(url, "token"), backoff=Backoff(first_s=0.005, max_s=0.05))
    shipper.start()
    if "--drain" in flags:
        drained = shipper.drain(30)
        books.close()
        return 0 if drained else 1
    asyncio.run(traffic(books))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
