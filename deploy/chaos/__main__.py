"""`python -m deploy.chaos [--rows ROW,...] [--moments N] [--seed N] [--json FILE]`: play the kill matrix.

The table goes to stdout, progress to stderr. Exit status 1 where a row failed, 2 for usage.
"""

import argparse
import json
import secrets
import signal
import sys
from pathlib import Path

from deploy.chaos import matrix, report

MOMENTS = 300
MINUTES_MAX = 60.0


def main() -> int:
    """Play, print, and say whether all rows hold."""
    parser = argparse.ArgumentParser(prog="python -m deploy.chaos", description="Play the kill matrix.")
    parser.add_argument("--rows", default=",".join(matrix.ROWS), help=f"comma-separated, of {', '.join(matrix.ROWS)}")
    parser.add_argument("--moments", type=int, default=MOMENTS, help="of all kill rows together; others take a share")
    parser.add_argument("--minutes", type=float, default=MINUTES_MAX, help="begin no row after that time")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of the dice; a new one each time")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    rows = [name for name in given.rows.split(",") if name]
    if unknown := [name for name in rows if name not in matrix.ROWS]:
        parser.error(f"no row named {', '.join(unknown)}")
    if given.moments < 1:
        parser.error("--moments is at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # So that every process is ended on the way out.
    lines = matrix.play(rows, moments=given.moments, seed=given.seed, minutes_max=given.minutes, say=_say)
    report.show(lines, seed=given.seed)
    if given.json:
        figures = {"seed": given.seed, "moments": given.moments, "rows": [line.as_json() for line in lines]}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    return int(any(line.failed for line in lines))


def _say(text: str) -> None:
    sys.stderr.write(f"chaos: {text}\n")


if __name__ == "__main__":
    sys.exit(main())
