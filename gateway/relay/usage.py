"""The `usage` member of a chunk: cut out or set to null in the client's copy, without touching another byte."""

from collections.abc import Mapping

import orjson

_KEY = b'"usage":'
BRACES_MAX = 16
"""Usage has a handful of inner objects; what has more is written anew."""


def raw_usage(text: bytes, usage: Mapping[str, object]) -> str:
    """The JSON of `usage` as it stands in `text`, or serialised again where it cannot be told apart."""
    span = _span(text, usage)
    return text[span[1] : span[2]].decode() if span is not None else orjson.dumps(usage).decode()


def without_usage(payload: bytes, chunk: Mapping[str, object], *, null: bool) -> bytes:
    """The chunk's JSON with its `usage` set to null, or gone. `chunk` is `payload`, parsed."""
    wanted: dict[str, object] = {name: value for name, value in chunk.items() if name != "usage"}
    if null:
        wanted["usage"] = None
    span = _span(payload, chunk["usage"])
    if span is not None:
        key, start, end = span
        candidate = payload[:start] + b"null" + payload[end:] if null else _cut(payload, key, end)
        if _same(candidate, wanted):
            return candidate
    return orjson.dumps(wanted)


def _span(text: bytes, usage: object) -> tuple[int, int, int] | None:
    """Where the last `usage` key begins, and its object, equal to `usage`, begins and ends; None if it is not found.

    The object ends at one of the next closing braces; the one up to which it parses is it. Only those that close as
    many as were opened are tried.
    """
    key = text.rfind(_KEY)
    start = text.find(b"{", key)
    if key < 0 or start < 0 or text[key + len(_KEY) : start].strip():
        return None
    end = start
    for _ in range(BRACES_MAX):
        end = text.find(b"}", end) + 1
        if end == 0:
            return None
        if text.count(b"{", start, end) == text.count(b"}", start, end) and _same(text[start:end], usage):
            return key, start, end
    return None


def _cut(payload: bytes, key: int, end: int) -> bytes:
    before, after = payload[:key].rstrip(), payload[end:].lstrip()
    if before.endswith(b","):
        return before[:-1] + after
    return before + (after[1:].lstrip() if after.startswith(b",") else after)


def _same(text: bytes, value: object) -> bool:
    try:
        return bool(orjson.loads(text) == value)
    except orjson.JSONDecodeError:
        return False
