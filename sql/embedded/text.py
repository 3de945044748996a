"""Just enough of a statement's text: its first keyword, the format it asks for, and where an INSERT's data begins.

The tokens are ClickHouse's (strings with backslashes and doubled quotes, quoted identifiers, three kinds of comment,
heredocs). It decides nothing about safety: guard.py works from the engine's own parse.
"""

import re
from dataclasses import dataclass

from sql.embedded.errors import StoreError
from sql.tokens import tokens

HEAD_MAX = 256 * 1024
"""An INSERT's own words, without its data, fit in this many bytes."""


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT whose rows came with it."""

    head: str
    """`INSERT INTO t (columns) SETTINGS ...`, without FORMAT or VALUES."""
    format: str
    pieces: tuple[bytes, ...]
    """Its rows, as they came."""


def first_word(text: bytes) -> str:
    """The statement's first keyword in capitals; "(" for a parenthesised SELECT; "" for no token at all."""
    for kind, token, _ in tokens(text[:HEAD_MAX]):
        return token.decode().upper() if kind == "word" else token.decode(errors="replace")
    return ""


def insert(text: bytes) -> Insert | None:
    """The parts of an INSERT that carries data, or None for an INSERT ... SELECT or any other statement.

    Raises StoreError when the rows would be read from a file.
    """
    depth = 0
    target = False
    for kind, token, end in tokens(text[:HEAD_MAX]):
        depth += {b"(": 1, b"[": 1, b"{": 1, b")": -1, b"]": -1, b"}": -1}.get(token, 0)
        if kind != "word" or depth:
            target = target or kind == "quoted" or token == b"}"
            continue
        word = token.upper()
        if not target:
            target = word not in (b"INSERT", b"INTO", b"TABLE")
        elif word in (b"SELECT", b"WITH"):
            return None
        elif word == b"INFILE":
            raise StoreError(497, "ACCESS_DENIED", "INSERT FROM INFILE is refused: send the rows in the request")
        elif word == b"VALUES":
            return Insert(_head(text[: end - len(token)]), "Values", (text[end:],))
        elif word == b"FORMAT":
            return _formatted(text, end)
    return None


def from_file(head: str, form: str, path: str) -> str:
    """The INSERT of a file's rows: its file goes before a SETTINGS clause, its format behind it."""
    place, depth = len(head.encode()), 0
    for kind, token, end in tokens(head.encode()):
        depth += {b"(": 1, b")": -1}.get(token, 0)
        if kind == "word" and not depth and token.upper() == b"SETTINGS":
            place = end - len(token)
    target, settings = head.encode()[:place].decode(), head.encode()[place:].decode()
    quoted = path.replace("\\", "\\\\").replace("'", "\\'")
    return f"{target.rstrip()} FROM INFILE '{quoted}' COMPRESSION 'none' {settings} FORMAT {form}"


def output_format(statement: str, default: str) -> str:
    """The format a statement asks its answer in: its last top-level FORMAT clause, or the default."""
    found, depth, waiting = default, 0, False
    for kind, token, _ in tokens(statement.encode()):
        depth += {b"(": 1, b"[": 1, b")": -1, b"]": -1}.get(token, 0)
        if waiting and kind == "word":
            found = token.decode()
        waiting = kind == "word" and not depth and token.upper() == b"FORMAT"
    return found


def _formatted(text: bytes, end: int) -> Insert:
    head = _head(text[: end - len(b"FORMAT")])
    for kind, token, stop in tokens(text[end : end + HEAD_MAX]):
        if kind != "word":
            break
        return Insert(head, token.decode(), (_behind(text, end + stop),))
    raise StoreError(62, "SYNTAX_ERROR", "Syntax error: FORMAT is not followed by a format's name")


def _head(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise StoreError(62, "SYNTAX_ERROR", "the statement is not UTF-8") from None


def _behind(text: bytes, at: int) -> bytes:
    """Data begins behind the first newline if only blanks come before it, else behind the blanks, as in ClickHouse."""
    blanks = re.compile(rb"[ \t\r]*;?[ \t\r]*").match(text, at)
    assert blanks is not None  # noqa: S101 - the pattern matches nothing at least
    at = blanks.end()
    return text[at + 1 :] if text[at : at + 1] == b"\n" else text[at:]
