"""YAML text to a checked value: parse, fill placeholders, validate, cross-check; every fault of a stage at once."""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gateway.config.faults import ConfigError, Fault, did_you_mean, dotted
from gateway.config.model import RoutingFile
from gateway.config.placeholders import fill

File = TypeVar("File", bound=RoutingFile)


class _Loader(yaml.SafeLoader):
    """SafeLoader that keeps decimals exact and refuses a key written twice."""


def _decimal(loader: yaml.SafeLoader, node: yaml.Node) -> Decimal | float:
    text = str(loader.construct_scalar(node))  # type: ignore[arg-type]
    try:
        return Decimal(text.replace("_", ""))
    except ArithmeticError:
        return loader.construct_yaml_float(node)  # type: ignore[arg-type]


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[object, object]:
    seen: set[object] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.MarkedYAMLError(problem=f"the key {key!r} is written twice", problem_mark=key_node.start_mark)
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:float", _decimal)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load(path: Path, schema: type[File], env: Mapping[str, str] | None = None) -> File:
    """The file at `path`, checked. Raises ConfigError with every fault; an unreadable file is one too."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(str(path), [Fault("", f"cannot read it: {reason}; give the file with --config")]) from None
    return load_text(text, schema, source=str(path), folder=path.parent, env=env)


def load_text(
    text: str,
    schema: type[File],
    *,
    source: str = "config",
    folder: Path = Path(),
    env: Mapping[str, str] | None = None,
) -> File:
    """The same for a text; `folder` is what a relative `${file:...}` is relative to. Raises ConfigError."""
    try:
        raw = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader of our own
    except yaml.YAMLError as error:
        raise ConfigError(source, [_yaml_fault(error)]) from None
    except (ValueError, TypeError, RecursionError) as error:
        # What PyYAML itself trips on: a date that is none, a list as a key, a number of 5,000 digits, deep nesting.
        raise ConfigError(source, [Fault("", f"it holds a value that YAML cannot be read for: {error}")]) from None
    if not isinstance(raw, dict):
        raise ConfigError(
            source, [Fault("", "not a mapping of sections; start from deploy/config/tollway.example.yaml")]
        )
    filled, faults = fill(raw, os.environ if env is None else env, folder)
    if faults:
        raise ConfigError(source, faults)
    try:
        parsed = schema.model_validate(filled)
    except ValidationError as error:
        raise ConfigError(source, _validation_faults(error, schema)) from None
    if faults := parsed.cross_check():
        raise ConfigError(source, faults)
    return parsed


def _yaml_fault(error: yaml.YAMLError) -> Fault:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return Fault(f"line {mark.line + 1}, column {mark.column + 1}", error.problem or "this is not YAML")
    return Fault("", f"this is not YAML: {error}")


def _validation_faults(error: ValidationError, schema: type[BaseModel]) -> list[Fault]:
    faults: dict[str, Fault] = {}
    for detail in error.errors(include_url=False, include_input=False):
        # The location names which kind of rung was meant; an operator's path has no such part.
        location = [part for part in detail["loc"] if part not in {"Target", "AliasRung"}]
        path = dotted(location)
        problem = detail["msg"].removeprefix("Value error, ")
        if detail["type"] == "extra_forbidden":
            problem = f"no such key {str(location[-1])!r}" + did_you_mean(
                str(location[-1]), _siblings(schema, location[:-1])
            )
        elif detail["type"] == "missing":
            problem = "is missing"
        elif detail["type"] == "string_pattern_mismatch":
            problem = f"is not of the form {detail['ctx']['pattern']}"
        faults.setdefault(path, Fault(path, problem))
    return list(faults.values())


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
