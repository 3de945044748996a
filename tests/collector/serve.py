"""Runs a collector in a process of its own, from settings given as JSON on the command line."""

import json
import logging
import sys
from pathlib import Path

from collector.server import run
from collector.settings import CannotStart, CollectorSettings, Limits, Sender, Tls


def main() -> None:
    given = json.loads(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    try:
        run(
            CollectorSettings(
                folder=Path(given["folder"]),
                senders=tuple(Sender(**sender) for sender in given["senders"]),
                store_url=given["store_url"],
                secrets_dir=Path(given["secrets_dir"]),
                port=given["port"],
                grpc_port=given.get("grpc_port"),
                tls=Tls(**{name: Path(path) for name, path in given["tls"].items()}) if given.get("tls") else None,
                limits=Limits(**given["limits"]),
            )
        )
    except CannotStart as error:
        sys.exit(str(error))


main()
