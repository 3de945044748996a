"""The embedded ClickHouse: one process that owns a chDB engine and speaks the ClickHouse HTTP protocol on loopback.

`run` blocks until SIGTERM or SIGINT. Whoever reaches the store does so over HTTP, as to any ClickHouse, so going to a
server or a cluster changes one address. The process never forks after the engine is open, keeps no sessions, and
refuses statements that reach beyond the store (see guard.py).
"""

from pathlib import Path


def run(data_dir: Path, host: str, port: int) -> None:
    """Run the store on `<data_dir>/store` until told to stop. Raises SystemExit(1) with one line when it cannot."""
    from sql.embedded import process

    process.run(data_dir, host, port)


serve = run
