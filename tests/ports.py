"""Free ports of loopback, none given twice in a run.

A port asked of the kernel with 0 and closed again may be given to the next who asks, or to a connection going out. So
these lie below the ports that connections get (32768 up), each test process counts through a range of its own, and a
port that somebody else listens on is passed over.
"""

import itertools
import os
import socket

FIRST = 10_240
PER_PROCESS = 4_000

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_first = FIRST + (_worker % 5) * PER_PROCESS
_start = os.getpid() % PER_PROCESS
_next = itertools.chain(range(_first + _start, _first + PER_PROCESS), range(_first, _first + _start))


def free_port() -> int:
    """The next port that nobody listens on. Raises StopIteration when four thousand were given."""
    while True:
        port = next(_next)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
