"""ClickHouse SQL as tokens: strings with backslashes and doubled quotes, quoted identifiers, comments, heredocs.

Enough to find where a statement ends or where an INSERT's data begins; it does not parse.
"""

import re
from collections.abc import Iterator

_TOKEN = re.compile(
    rb"""(?P<space>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
    |(?P<string>'(?:[^'\\]|\\.|'')*')
    |(?P<quoted>`(?:[^`\\]|\\.|``)*`|"(?:[^"\\]|\\.|"")*")
    |(?P<heredoc>\$(\w*)\$.*?\$\5\$)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)


def tokens(text: bytes) -> Iterator[tuple[str, bytes, int]]:
    """(kind, token, where it ends) of all but blanks and comments; kind is string, quoted, heredoc, word or other."""
    for match in _TOKEN.finditer(text):
        kind = "heredoc" if match["heredoc"] is not None else match.lastgroup or "other"
        if kind != "space":
            yield kind, match[0], match.end()


def statements(text: str) -> list[str]:
    """The statements of a file, cut at their semicolons; comments between them go with the one that follows."""
    whole, found, start = text.encode(), [], 0
    last = 0
    for kind, token, end in tokens(whole):
        last = end
        if kind == "other" and token == b";":
            found.append(whole[start : end - 1].decode().strip())
            start = end
    if last > start:
        found.append(whole[start:].decode().strip())
    return [one for one in found if one]
