"""How a subcommand speaks: rows or one JSON document on stdout, words on stderr."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from gateway.domain.money import plain


def say(text: str) -> None:
    """One line of words, to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def emit_json(value: object) -> None:
    """One JSON document on stdout; money as decimal strings, times as ISO 8601."""
    print(json.dumps(value, default=_encode, ensure_ascii=False), flush=True)  # noqa: T201


def emit_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout, aligned; tab-separated when stdout is not a terminal, so that other tools can read it."""
    cells = [[_text(value) for value in row] for row in rows]
    if not sys.stdout.isatty():
        lines = ["\t".join(line) for line in ([*columns], *cells)]
    else:
        widths = [max(len(line[i]) for line in ([*columns], *cells)) for i in range(len(columns))]
        lines = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))
            for line in ([*columns], *cells)
        ]
    print("\n".join(lines), flush=True)  # noqa: T201


def emit_pairs(pairs: Mapping[str, object]) -> None:
    """Names and values, one a line."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        print(f"{name.ljust(width)}  {_text(value)}", flush=True)  # noqa: T201


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    if value is None:
        return "unknown"
    return str(_encode(value)) if isinstance(value, date) else str(value)


def _encode(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
