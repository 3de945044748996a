"""Members of a JSON object replaced in the client's own bytes, so that all else goes on exactly as it was written.

A member is spliced only where there is no doubt which one it is: its key stands once in the whole text, its value is a
string, and no key could be another spelling of it. Where there is doubt the parsed object is serialised again instead.
"""

import re
from collections.abc import Mapping
from functools import cache

import orjson

ESCAPED_LETTERS = (b"\\u004", b"\\u005", b"\\u006", b"\\u007")
"""Each letter and the underscore escape to one of these: a text without them has no key that only reads as another."""


def spliced(text: bytes, fields: Mapping[str, object], changed: Mapping[str, object]) -> bytes:
    """The object in `text` with the members in `changed` replaced, or put first where it has none. `fields` is `text`,
    parsed; it has at least one member that `changed` replaces or leaves. Names in `changed` are plain words."""
    edits: list[tuple[int, int, bytes]] = []
    front = b""
    for name, value in changed.items():
        member = b'"%b":%b' % (name.encode(), orjson.dumps(value))
        if name not in fields:
            front += member + b","
            continue
        found = _member(text, name)
        if found is None:
            return orjson.dumps({**fields, **changed})
        edits.append((*found.span(), member))
    if any(escaped in text for escaped in ESCAPED_LETTERS):
        return orjson.dumps({**fields, **changed})
    start = text.index(b"{") + 1
    parts = [text[:start], front]
    for begin, end, member in sorted(edits):
        parts += (text[start:begin], member)
        start = end
    parts.append(text[start:])
    return b"".join(parts)


def _member(text: bytes, name: str) -> re.Match[bytes] | None:
    """The one place where a key of that name has a string for its value; None where it is not the only place."""
    key, member = _patterns(name)
    # Most names stand once; of one that is a value too, such as `user`, only the keys count.
    if text.count(b'"%b"' % name.encode()) != 1 and len(key.findall(text)) != 1:
        return None
    return member.search(text)


@cache
def _patterns(name: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    key = rb'"%b"\s*:' % re.escape(name).encode()
    return re.compile(key), re.compile(key + rb'\s*"(?:[^"\\]|\\.)*"')
