"""A request's canonical bytes: equal for two bodies exactly when no vendor could answer them differently.

The order of keys, the way a number or a character is written, and white space do not count. Order does count inside a
JSON schema: vendors answer in the order a schema names its properties, and put tools into the prompt as they were
written. Texts are compared code point by code point: two normal forms of one letter are different tokens.
"""

import json
from collections.abc import Iterable, Mapping
from typing import cast

IRRELEVANT = frozenset(
    {
        "model",  # The alias, which is a part of the key itself.
        "stream",  # How the answer is framed: see `framing`, which is a part of the key too.
        "stream_options",  # The same.
        "user",  # Names the caller's own user, for the vendor's abuse watch.
        "safety_identifier",  # The same, under its newer name.
        "metadata",  # The caller's own labels, kept by the vendor beside what it stores.
        "prompt_cache_key",  # Where the vendor looks for a warm prompt.
        "prompt_cache_retention",  # How long it keeps that prompt warm.
    }
)
"""Top-level fields that cannot change the answer. Every other field counts, known to us or not."""

UNORDERED = frozenset(
    {"messages", "input", "prompt", "logit_bias", "tool_choice", "function_call", "prediction", "reasoning", "thinking"}
)
"""Top-level fields whose objects are the same in any order of keys. All others keep theirs: at worst that is a miss."""

COUNTED_SUFFIXES = (b"-beta", b"-version")
COUNTED_EXCEPT = b"x-stainless-"
"""Request headers whose names end so choose how a vendor answers (`openai-beta`, `anthropic-version`); those of the
OpenAI clients that begin so only say what the client is made of. No other header that goes upstream counts."""

DEPTH_MAX = 100
BODY_BYTES_MAX = 1_048_576
"""A longer body is not looked at: at 10 us a KiB it would hold all other requests up."""

_AS_IT_IS = frozenset({str, int})
_ENCODER = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":"))


class TooDeep(ValueError):
    """A body nested so deeply that it has no canonical form."""


def canonical(fields: Mapping[str, object]) -> bytes:
    """The canonical bytes of a parsed body. Raises TooDeep."""
    counted = {
        name: _plain(value, ordered=name not in UNORDERED, room=DEPTH_MAX)
        for name, value in sorted(fields.items())
        if name not in IRRELEVANT
    }
    return _bytes(counted)


def framing(fields: Mapping[str, object]) -> bytes:
    """How the answer is to be framed: whole, or as a stream with these options. A stream is never given to who asked
    for a whole answer, nor the reverse, and only who asked for usage in a stream finds it there. Raises TooDeep."""
    if fields.get("stream") is not True:
        return b"whole"
    options = fields.get("stream_options")
    wanted = {name: value for name, value in options.items() if value} if isinstance(options, Mapping) else {}
    return b"stream" + canonical_value(wanted, ordered=False)


def counted_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Of a request's headers, names in lower case, those that can change the answer, in one order."""
    counted = sorted(
        (name, value)
        for name, value in headers
        if name.endswith(COUNTED_SUFFIXES) and not name.startswith(COUNTED_EXCEPT)
    )
    return b"".join(b"%b:%b\n" % line for line in counted)


def prompt_start(fields: Mapping[str, object], size: int) -> bytes:
    """The first `size` canonical bytes of the prompt: tools, then messages, or what else it is. Raises TooDeep."""
    pieces: list[bytes] = []
    room = size
    for name in ("tools", "functions", "instructions", "messages", "prompt", "input"):
        value = fields.get(name)
        for item in value if isinstance(value, list) else (value,) if value is not None else ():
            piece = canonical_value(item, ordered=name not in UNORDERED)
            pieces.append(piece)
            room -= len(piece)
            if room <= 0:
                return b"".join(pieces)[:size]
    return b"".join(pieces)


def canonical_value(value: object, *, ordered: bool) -> bytes:
    """One value's canonical bytes; `ordered` keeps the order of its keys. Raises TooDeep."""
    return _bytes(_plain(value, ordered=ordered, room=DEPTH_MAX))


def _bytes(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


def _plain_number(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _plain(value: object, *, ordered: bool, room: int) -> object:
    """The value with whole numbers written whole and, unless `ordered`, its keys sorted."""
    kind = type(value)  # As a JSON parser makes them; isinstance of an abstract class would cost ten times as much.
    if kind is dict:
        return _plain_object(cast("dict[str, object]", value), ordered, room)
    if kind is list:
        return _plain_array(cast("list[object]", value), ordered, room)
    return _plain_number(value) if kind is float else value


def _plain_object(value: dict[str, object], ordered: bool, room: int) -> dict[str, object]:
    if not room:
        raise TooDeep(f"nested more than {DEPTH_MAX} deep")
    return {
        name: inner if type(inner) is str else _plain(inner, ordered=ordered, room=room - 1)
        for name, inner in (value.items() if ordered else sorted(value.items()))
    }


def _plain_array(value: list[object], ordered: bool, room: int) -> list[object]:
    if not room:
        raise TooDeep(f"nested more than {DEPTH_MAX} deep")
    return [inner if type(inner) in _AS_IT_IS else _plain(inner, ordered=ordered, room=room - 1) for inner in value]
