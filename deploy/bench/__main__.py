"""`python -m deploy.bench [gateway ...]`: run the benches named, or all of them."""

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

from deploy.bench import gateway, ingest, mixed

BENCHES: dict[str, Callable[[], object]] = {"gateway": gateway.run, "mixed": mixed.run, "ingest": ingest.run}


def main() -> None:
    """Run, print each table to stdout, and write all figures as JSON where `--json` says."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench", description="Measure CPU per unit of work.")
    parser.add_argument("names", nargs="*", metavar="BENCH", help=f"one of {', '.join(BENCHES)}; all if none is named")
    parser.add_argument("--spans", type=int, default=ingest.SPANS_DEFAULT, help="how many ingest lands, up to 10000000")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    chosen = parser.parse_args()
    if unknown := set(chosen.names) - BENCHES.keys():
        parser.error(f"no bench named {', '.join(sorted(unknown))}")
    figures: dict[str, object] = {"python": platform.python_version(), "machine": platform.processor()}
    for name in chosen.names or BENCHES:
        sys.stderr.write(f"bench {name} ...\n")
        figures[name] = ingest.run(chosen.spans) if name == "ingest" else BENCHES[name]()
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
