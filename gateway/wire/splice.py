"""Members of a JSON object replaced in the client's own bytes, so that all else goes on exactly as it was written.

A member is spliced only where there is no doubt which one it is: its key stands once in the whole text, its value is a
string, and no key could be another spelling of it. Where there is doubt the parsed object is serialised again instead.
"""

import re
from collections.abc import Mapping
from functools import cache

import orjson

from gateway.wire.escapes import has_escaped_letters


def spliced(text: bytes, fields: Mapping[str, object], changed: Mapping[str, object]) -> bytes:
    """The object in `text` with the members in `changed` replaced, or put first where it has none. `fields` is `text`,
    parsed; it has at least one member that `changed` replaces or leaves. Names in `changed` are plain words."""
    edits: list[tuple[int, int, bytes]] = []
    front = b""
    for name, value in changed.items():
        quoted, key, member = _patterns(name)
        written = quoted + b":" + orjson.dumps(value)
        if name not in fields:
            front += written + b","
            continue
        at = text.find(quoted)
        if text.find(quoted, at + 1) < 0:
            found = member.match(text, at) if at >= 0 else None
        else:  # Of a name that is a value too, such as `user`, only the keys count.
            found = member.search(text) if len(key.findall(text)) == 1 else None
        if found is None:
            return orjson.dumps({**fields, **changed})
        edits.append((*found.span(), written))
    if has_escaped_letters(text):
        return orjson.dumps({**fields, **changed})
    for begin, end, written in sorted(edits, reverse=True):
        text = text[:begin] + written + text[end:]
    return text.replace(b"{", b"{" + front, 1) if front else text


@cache
def _patterns(name: str) -> tuple[bytes, re.Pattern[bytes], re.Pattern[bytes]]:
    """The name in quotes, a key of that name, and such a key with a string for its value."""
    quoted = b'"%b"' % name.encode()
    key = re.escape(quoted) + rb"\s*:"
    return quoted, re.compile(key), re.compile(key + rb'\s*"(?:[^"\\]|\\.)*"')
