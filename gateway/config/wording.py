"""What pydantic found wrong, said to an operator: the place as the file has it, and what is to be written there.

No text has a value of the file in it, since some of them are secrets.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.config.faults import Fault, did_you_mean, dotted

A_LIST = "must be a list, such as [a, b]"
A_MAPPING = "must be a mapping of keys to values, such as {key: value}"
A_NUMBER = "must be a number, without a unit"
WHOLE = "must be a whole number"
TRUTH = "must be true or false, without quotes"
MOMENT = "must be a date with its time and zone, such as 2026-01-01T00:00:00Z"
A_RUNG = "must be {upstream: NAME, model: NAME} or {alias: NAME}"
NOT_BOTH = "a rung names an upstream and a model, or an alias; not both"

WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "tuple_type": A_LIST,
    "list_type": A_LIST,
    "model_type": A_MAPPING,
    "dict_type": A_MAPPING,
    "string_type": "must be text; put it in quotes",
    "string_too_short": "must not be empty",
    "int_type": WHOLE,
    "int_parsing": WHOLE,
    "int_from_float": WHOLE,
    "float_type": A_NUMBER,
    "float_parsing": A_NUMBER,
    "decimal_type": A_NUMBER,
    "decimal_parsing": A_NUMBER,
    "finite_number": A_NUMBER,
    "bool_type": TRUTH,
    "bool_parsing": TRUTH,
    "datetime_type": MOMENT,
    "datetime_parsing": MOMENT,
    "datetime_from_date_parsing": MOMENT,
    "too_short": "must have at least one entry",
}
"""By pydantic's kind of error; of any other kind its own message stands."""

BOUNDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda bound: f"must be {bound['ge']} or more",
    "greater_than": lambda bound: f"must be more than {bound['gt']}",
    "less_than_equal": lambda bound: f"must be {bound['le']} or less",
    "less_than": lambda bound: f"must be less than {bound['lt']}",
    "literal_error": lambda bound: f"must be {bound['expected']}",
    "enum": lambda bound: f"must be {bound['expected']}",
}

RUNGS = frozenset({"Target", "AliasRung"})
"""Parts of a location that say which kind of rung was meant; an operator's path has no such part."""

LITELLM = frozenset({"model_list", "litellm_settings", "router_settings", "general_settings"})


def faults_of(error: ValidationError, schema: type[BaseModel]) -> list[Fault]:
    """Every fault once, in the order of the file's schema."""
    details = error.errors(include_url=False, include_input=False)
    places = [tuple(detail["loc"]) for detail in details]
    found: dict[str, Fault] = {}
    for detail, place in zip(details, places, strict=True):
        if detail["type"] == "too_short" and any(_below(other, place) for other in places):
            continue  # It was not short before its faulty entries were left out.
        path = dotted(_as_written(place))
        found.setdefault(path, Fault(path, _problem(detail["type"], detail, schema)))
    return list(found.values())


def _below(place: tuple[int | str, ...], above: tuple[int | str, ...]) -> bool:
    return len(place) > len(above) and place[: len(above)] == above


def _as_written(place: tuple[int | str, ...]) -> list[int | str]:
    """The place without what the file does not have: the kind of a rung, and the name that an entry gets of its key."""
    parts = [part for part in place if part not in RUNGS]
    return parts[:-1] if parts and parts[-1] == "name" and len(parts) > 1 else parts


def _problem(kind: str, detail: Mapping[str, Any], schema: type[BaseModel]) -> str:
    place = detail["loc"]
    if kind == "extra_forbidden":
        return _unknown_key(place, schema)
    if kind == "model_type" and place[-1] in RUNGS and "fallback" in place:
        return A_RUNG
    if kind in BOUNDS:
        return BOUNDS[kind](detail["ctx"])
    return WORDS.get(kind) or str(detail["msg"]).removeprefix("Value error, ")


def _unknown_key(place: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    *above, key = (part for part in place if part not in RUNGS)
    known = _siblings(schema, above)
    if key in known:
        return NOT_BOTH
    if not above and key in LITELLM:
        return f"no such key {key!r}; a LiteLLM file is translated by `tollway import litellm`"
    return f"no such key {str(key)!r}" + did_you_mean(str(key), known)


def _siblings(schema: type[BaseModel], location: list[int | str]) -> list[str]:
    """The keys known where an unknown one was found."""
    here: type[BaseModel] | None = schema
    for part in location:
        if here is None:
            return []
        if isinstance(part, str) and part in here.model_fields:
            here = _inner_model(here.model_fields[part].annotation)
    return [name for name in here.model_fields if name != "name"] if here else []


def _inner_model(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _inner_model(inner):
            return found
    return None
