"""Which requests may share one call: those of one tenant, alias and tier that are equal in everything but their input.

Two bodies are equal when they are the same JSON, however written, without the field that holds the input; a `stream`
is never shared. Inputs may be joined only where they have one form: texts with texts, token arrays with token arrays.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

FIELDS = {"embeddings": "input", "completions": "prompt"}
"""The kinds of request that take an array of inputs, and the field that holds it."""

TELEMETRY = frozenset({b"tracestate", b"user-agent"})
TELEMETRY_PREFIX = b"x-stainless-"
"""Headers in which equal requests may differ: they say who calls and how often, and nothing of what is asked."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one request asks for: its inputs, one or more, as the elements of an array."""

    items: tuple[object, ...]
    tokens: bool
    """Each is an array of token ids, not a text."""
    size: int
    """Of all together: bytes of text, or token ids."""


def inputs_of(given: object) -> Inputs | None:
    """The inputs in any of the four forms; None for what cannot be joined with others (empty, mixed or no input)."""
    if isinstance(given, str):
        return _texts([given])
    if not isinstance(given, list) or not given:
        return None
    if isinstance(given[0], str):
        return _texts(given)
    if isinstance(given[0], list):
        return _token_arrays(given)
    return _token_arrays([given])


def shared_key(
    *, tenant: str, alias: str, tier: str, kind: str, fields: Mapping[str, object], headers: bytes, tokens: bool
) -> bytes | None:
    """A digest that is equal for requests that may share a call; None if this one may share none.

    `headers` are the lines that would go upstream, without those that `telling` drops.
    """
    if kind not in FIELDS or fields.get("stream"):
        return None
    rest = {name: value for name, value in fields.items() if name != FIELDS[kind]}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    parts = [tenant, alias, tier, kind, "tokens" if tokens else "texts"]
    parts += [headers.decode("latin-1"), canonical]
    return hashlib.blake2b("\0".join(f"{len(part)}:{part}" for part in parts).encode(), digest_size=20).digest()


def telling(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers in which requests that share a call must not differ. Names are in lower case."""
    return [(name, value) for name, value in headers if name not in TELEMETRY and not name.startswith(TELEMETRY_PREFIX)]


def joined(kind: str, fields: Mapping[str, object], inputs: Sequence[Inputs]) -> dict[str, object]:
    """The body of the shared call: that of any of its members, with the inputs of all, in order."""
    return {**fields, FIELDS[kind]: [item for each in inputs for item in each.items]}


def _texts(given: list[object]) -> Inputs | None:
    size = 0
    for text in given:
        if not isinstance(text, str):
            return None
        size += len(text.encode())
    return Inputs(tuple(given), tokens=False, size=size)


def _token_arrays(given: list[object]) -> Inputs | None:
    size = 0
    for array in given:
        if not isinstance(array, list) or not array:
            return None
        if any(type(token) is not int for token in array):
            return None
        size += len(array)
    return Inputs(tuple(given), tokens=True, size=size)
