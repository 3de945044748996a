"""Lands again what a row's collector has kept: `python -m deploy.chaos.replaying SETTINGS.json MAPPING`.

As `tollway replay-spool` does it, with the mapping named by the caller, so that each run has everything to do.
"""

import json
import sys
import threading
from pathlib import Path

from gateway.domain import clock


def main() -> None:
    """Run it to its end."""
    from clickhouse_connect.driver.client import Client

    from collector.cluster import store_of
    from collector.replay import Replay, alone, shelf
    from collector.replay_plan import Choice
    from sql import clients, credentials

    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folder = Path(given["folder"])
    password = credentials.read(Path(given["secrets_dir"]).parent, credentials.WRITER)

    def connect(url: str) -> Client:
        return clients.writer(url, password)

    with alone(folder / "replays"):
        store = store_of(connect, given["store_url"], None)
        replay = Replay(
            folder / "replays",
            folder / "spool",
            store,
            mapping=sys.argv[2],
            now_ms=clock.unix_nanos() // 1_000_000,
            pause=threading.Event().wait,
        )
        replay.finish()
        found = shelf(folder / "spool").batches
        for told in replay.run(replay.plan(found, Choice())[0], found):
            if told.why:
                sys.exit(f"{told.swap.old} was left: {told.why}")
        replay.close()
        store.close()


if __name__ == "__main__":
    main()
