"""`python -m sql.embedded --data-dir DIR --listen 127.0.0.1:8123`: the embedded store by hand."""

import argparse
import logging
from pathlib import Path

from sql.embedded import run


def main() -> None:
    """Parse the command line and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m sql.embedded", description="The embedded ClickHouse of Tollway.")
    parser.add_argument("--data-dir", type=Path, required=True, help="holds store/ and secrets/; made if missing")
    parser.add_argument("--listen", default="127.0.0.1:8123", help="address to answer on (default %(default)s)")
    given = parser.parse_args()
    host, _, port = given.listen.rpartition(":")
    if not host or not port.isdigit():
        parser.error(f"--listen takes HOST:PORT, not {given.listen!r}")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    run(given.data_dir, host.strip("[]"), int(port))


if __name__ == "__main__":
    main()
