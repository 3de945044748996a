"""The `usage` member of a chunk: cut out or set to null in the client's copy, without touching another byte."""

from collections.abc import Mapping

import orjson

_KEY = b'"usage":'


def raw_usage(text: bytes, usage: Mapping[str, object]) -> str:
    """The JSON of `usage` as it stands in `text`, or serialised again where it cannot be told apart."""
    span = _span(text)
    if span is not None and _same(text[span[1] : span[2]], usage):
        return text[span[1] : span[2]].decode("utf-8", "replace")
    return orjson.dumps(usage).decode()


def without_usage(payload: bytes, chunk: Mapping[str, object], *, null: bool) -> bytes:
    """The chunk's JSON with its `usage` set to null, or gone. `chunk` is `payload`, parsed."""
    wanted: dict[str, object] = {name: value for name, value in chunk.items() if name != "usage"}
    if null:
        wanted["usage"] = None
    span = _span(payload)
    if span is not None:
        key, start, end = span
        candidate = payload[:start] + b"null" + payload[end:] if null else _cut(payload, key, end)
        if _same(candidate, wanted):
            return candidate
    return orjson.dumps(wanted)


def _span(text: bytes) -> tuple[int, int, int] | None:
    """Where the last `usage` key begins, and its object begins and ends; None where there is no object.

    Usage objects hold numbers and objects of numbers, so that braces can be counted; callers check the result.
    """
    key = text.rfind(_KEY)
    start = text.find(b"{", key)
    if key < 0 or start < 0 or text[key + len(_KEY) : start].strip():
        return None
    depth = 0
    for index in range(start, len(text)):
        if text[index] == 0x7B:
            depth += 1
        elif text[index] == 0x7D:
            depth -= 1
            if depth == 0:
                return key, start, index + 1
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
