"""Whether a JSON value fits a schema, as far as vendors' structured outputs go: the subset of their strict modes.

type, enum, const, properties, required, additionalProperties, items, anyOf, oneOf (as anyOf), allOf and $ref within the
document. What else a schema says is taken to hold: a value is only faulted for what is certain. Pure, and bounded: a
value that takes more than STEPS_MAX looks fits.
"""

from collections.abc import Mapping
from typing import Any

STEPS_MAX = 20_000
DEPTH_MAX = 64

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def fits(value: object, schema: object) -> bool:
    """Whether `value`, as parsed from JSON, fits `schema`, likewise. A schema that is none fits anything."""
    return _Check(schema).fits(value, schema, 0)


class _Check:
    """One value's check: the document that references point into, and how many looks it has taken."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._steps = 0

    def fits(self, value: object, schema: object, depth: int) -> bool:
        self._steps += 1
        if schema is False:
            return False
        if not isinstance(schema, dict) or depth > DEPTH_MAX or self._steps > STEPS_MAX:
            return True
        if (pointer := schema.get("$ref")) is not None and not self.fits(value, self._at(pointer), depth + 1):
            return False
        if not _of_type(value, schema.get("type")):
            return False
        if "const" in schema and not _same(value, schema["const"]):
            return False
        allowed = schema.get("enum")
        if isinstance(allowed, list) and not any(_same(value, one) for one in allowed):
            return False
        for name in ("anyOf", "oneOf"):
            branches = schema.get(name)
            if isinstance(branches, list) and branches and not any(self.fits(value, b, depth + 1) for b in branches):
                return False
        every = schema.get("allOf")
        if isinstance(every, list) and not all(self.fits(value, one, depth + 1) for one in every):
            return False
        if isinstance(value, dict):
            return self._members_fit(value, schema, depth)
        items = schema.get("items")
        return not isinstance(value, list) or all(self.fits(one, items, depth + 1) for one in value)

    def _members_fit(self, value: dict[str, Any], schema: dict[str, Any], depth: int) -> bool:
        required, known = schema.get("required"), schema.get("properties")
        if isinstance(required, list) and any(isinstance(name, str) and name not in value for name in required):
            return False
        known = known if isinstance(known, dict) else {}
        others = True if "patternProperties" in schema else schema.get("additionalProperties", True)
        return all(self.fits(one, known.get(name, others), depth + 1) for name, one in value.items())

    def _at(self, pointer: object) -> object:
        """What a reference within the document points at; True, which fits anything, where that is not known."""
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            return True
        found: object = self._document
        for part in pointer[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                return True
            found = found[name]
        return found


def _of_type(value: object, wanted: object) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    known = [name for name in names if isinstance(name, str) and name in _TYPES]
    return len(known) < len(names) or any(_is(value, name) for name in known)


def _is(value: object, name: str) -> bool:
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[name])


def _same(one: object, other: object) -> bool:
    """Equal as JSON: true is not 1, though Python says so."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other
