"""`python -m deploy.demo.vendor --config FILE --listen HOST:PORT`: serve one vendor until SIGTERM or Ctrl-C.

Prints `listening on http://HOST:PORT` when it accepts (port 0 takes a free one). Exit status 1 with one line on stderr
for a port that is taken, a ledger that cannot be written or a file that describes no vendor.
"""

import argparse
import socket
import sys
from pathlib import Path

import uvicorn

from deploy.demo.vendor.app import Vendor
from deploy.demo.vendor.ledger import Ledger
from deploy.demo.vendor.settings import SettingsInvalid, read

KEEP_ALIVE_S = 75


def main() -> int:
    """Parse the arguments and serve; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo.vendor", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="JSON or YAML: see settings.py")
    parser.add_argument("--listen", default="127.0.0.1:0", help="HOST:PORT; port 0 takes a free one")
    given = parser.parse_args()
    host, _, port = given.listen.rpartition(":")
    try:
        settings = read(given.config)
        ledger = Ledger(settings.ledger, project_id=settings.project_id)
        listener = _listen(host, int(port))
    except (SettingsInvalid, OSError) as error:
        print(f"vendor: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"listening on http://{host}:{listener.getsockname()[1]}", flush=True)  # noqa: T201
    config = uvicorn.Config(
        Vendor(settings, ledger),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="critical",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=1,
    )
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"cannot listen at {host}:{port}: {error.strerror}") from error
    listener.listen(1024)
    listener.setblocking(False)
    return listener


if __name__ == "__main__":
    sys.exit(main())
