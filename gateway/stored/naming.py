"""Which stored objects a request names, and which its answer brings: read from parsed JSON, and nothing else.

A name counts wherever it stands, but not where a key is the caller's own word (metadata, a tool's JSON schema, a
prompt's variables). JSON lets a key stand twice and be written with escapes, and a vendor may read another one than we
did; so `Named.plain` says whether the bytes can be sent as they are, or only what was read of them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.wire.escapes import has_escaped_letters


class Stored(StrEnum):
    """The kinds of things that a vendor keeps under an id."""

    FILE = "file"
    BATCH = "batch"
    RESPONSE = "response"
    ITEM = "item"
    """One piece of a stored response's input or output."""
    CONVERSATION = "conversation"
    VECTOR_STORE = "vector_store"
    CONTAINER = "container"


@dataclass(frozen=True, slots=True)
class Name:
    """A stored object, as a request names it."""

    kind: Stored
    id: str
    param: str
    """The key it was found under."""


@dataclass(frozen=True, slots=True)
class Named:
    """What a body names."""

    names: tuple[Name, ...]
    """The caller must own each of these."""
    carried: tuple[str, ...]
    """Ids of items that stand whole in the request, encrypted: only the account that made them can read them."""
    plain: bool
    """Whether the body's bytes name these and nothing else, however they are read."""


KEYS: Mapping[str, Stored] = {
    "file_id": Stored.FILE,
    "file_ids": Stored.FILE,
    "input_file_id": Stored.FILE,
    "previous_response_id": Stored.RESPONSE,
    "response_id": Stored.RESPONSE,
    "conversation": Stored.CONVERSATION,
    "conversation_id": Stored.CONVERSATION,
    "vector_store_id": Stored.VECTOR_STORE,
    "vector_store_ids": Stored.VECTOR_STORE,
    "container": Stored.CONTAINER,
    "container_id": Stored.CONTAINER,
}
"""A text, or the texts of an array, under one of these keys is an id; an object there may have one of its own."""

REFERENCE = "item_reference"
RECALLED = {"reasoning": "encrypted_content", "image_generation_call": "result"}
"""Input items that a vendor fills in from what it keeps under their id, unless they carry this key themselves."""

COUNTED = (*KEYS, "id", "type", "input")
"""The keys that decide what is named."""
SPELLED = re.compile(rb'"(?:' + "|".join(COUNTED).encode() + rb')"\s*:')
"""Such a key in the bytes. Within a text its quotes are escaped, so it is not found there."""
MENTION = re.compile(rb'"(?:' + "|".join(KEYS).encode() + rb')"')
RESPONSE_MENTION = re.compile(rb'"(?:' + "|".join((*KEYS, "id")).encode() + rb')"')

CALLERS_OWN = frozenset({"metadata", "parameters", "schema", "input_schema", "arguments", "client_metadata"})
"""Below these keys every word is the caller's."""
VARIABLES = "variables"
"""Its keys are the caller's words, what stands under them is not."""


def mentions(body: bytes, *, response: bool) -> bool:
    """Whether the body (of a request for a response, or of another kind) may name a stored object: a quick look, which
    never misses one."""
    return (RESPONSE_MENTION if response else MENTION).search(body) is not None or has_escaped_letters(body)


def named_in(body: bytes, fields: Mapping[str, object]) -> Named:
    """What a body names. `fields` is what was parsed of it."""
    names: dict[tuple[Stored, str], Name] = {}
    carried: dict[str, None] = {}
    seen = 0
    for mapping, own_words in _objects(fields):
        seen += len(mapping.keys() & COUNTED)
        for name in () if own_words else _names(mapping):
            names.setdefault((name.kind, name.id), name)
    given = fields.get("input")
    for item in given if isinstance(given, list) else ():
        text = item.get("id") if isinstance(item, dict) else None
        if not isinstance(text, str):
            continue
        if _is_recalled(item):
            names.setdefault((Stored.ITEM, text), Name(Stored.ITEM, text, "input"))
        elif "encrypted_content" in item:
            carried[text] = None
    plain = len(SPELLED.findall(body)) == seen and not has_escaped_letters(body)
    return Named(tuple(names.values()), tuple(carried), plain)


def brought_by(response: Mapping[str, object]) -> list[tuple[Stored, str]]:
    """The ids that an answer of the responses API gives its caller: of the response, then of what it put out."""
    found = [(Stored.RESPONSE, response.get("id"))]
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict):
            found += [(Stored.ITEM, item.get("id")), (Stored.CONTAINER, item.get("container_id"))]
    return list(dict.fromkeys((kind, text) for kind, text in found if isinstance(text, str) and text))


def _is_recalled(item: Mapping[str, object]) -> bool:
    kind = item.get("type")
    if kind is None:
        return "role" not in item  # A reference may leave its type out; so may a message, which has a role.
    return kind == REFERENCE or (kind in RECALLED and not item.get(RECALLED[str(kind)]))


def _names(mapping: Mapping[str, object]) -> Iterator[Name]:
    for key in mapping.keys() & KEYS.keys():
        value = mapping[key]
        if isinstance(value, Mapping):
            value = value.get("id")
        for text in value if isinstance(value, list) else (value,):
            if isinstance(text, str):
                yield Name(KEYS[key], text, key)
    if mapping.get("type") == REFERENCE and isinstance(text := mapping.get("id"), str):
        yield Name(Stored.ITEM, text, "input")


def _objects(fields: Mapping[str, object]) -> Iterator[tuple[Mapping[str, object], bool]]:
    """Every JSON object in it, and whether its keys are the caller's own words."""
    waiting: list[tuple[object, bool, bool]] = [(fields, False, False)]
    while waiting:
        value, own_words, below = waiting.pop()
        if isinstance(value, Mapping):
            yield value, own_words
            for key, inner in value.items():
                if isinstance(inner, Mapping | list):
                    own = below or (key in CALLERS_OWN and not own_words)
                    waiting.append((inner, own or key == VARIABLES, own))
        elif isinstance(value, list):
            waiting += [(inner, below, below) for inner in value if isinstance(inner, Mapping | list)]
