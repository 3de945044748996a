"""`python -m deploy.chaos.collector SETTINGS`: a collector as it is, in a process that may die at a given system call.

SETTINGS is a JSON file: folder, port, token, store_url, secrets_dir, limits; and where wanted `dies` and
`full_while` (see calls.py) and `speed`, how many seconds of the collector's clock go by in one.
"""

import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.domain import clock

SENDER = "gateway"


def main() -> None:
    """Serve until SIGTERM, or death."""
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    if given.get("speed"):
        hasten(given["speed"])
    if given.get("dies"):
        from deploy.chaos.calls import Death, die_at

        die_at(Death(**given["dies"]))
    if given.get("full_while"):
        from deploy.chaos.calls import full_while

        full_while(Path(given["full_while"]))
    serve(given)


def serve(given: dict[str, Any]) -> None:
    """Run it. Ends with one line on stderr when it cannot start."""
    from collector.server import run
    from collector.settings import CannotStart, CollectorSettings, Limits, Sender

    settings = CollectorSettings(
        folder=Path(given["folder"]),
        senders=(Sender(name=SENDER, token=given["token"], may_name_tenants=True),),
        store_url=given["store_url"],
        secrets_dir=Path(given["secrets_dir"]),
        port=given["port"],
        limits=Limits(**given["limits"]),
    )
    try:
        run(settings)
    except CannotStart as error:
        sys.exit(f"collector: {error}")


def hasten(speed: float) -> None:
    """From now on this process's clock runs `speed` times as fast: two hours go by in a quarter of a minute."""
    monotonic, unix_nanos, utc_now = clock.monotonic, clock.unix_nanos, clock.utc_now
    began, began_ns, began_at = monotonic(), unix_nanos(), utc_now()

    def utc() -> datetime:
        return (began_at + timedelta(seconds=(monotonic() - began) * speed)).astimezone(UTC)

    clock.monotonic = lambda: began + (monotonic() - began) * speed
    clock.unix_nanos = lambda: began_ns + int((unix_nanos() - began_ns) * speed)
    clock.utc_now = utc


if __name__ == "__main__":
    main()
