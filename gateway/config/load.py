"""YAML text to a checked value: parse, fill placeholders, validate, cross-check; every fault at once.

Two kinds wait for others: names that point nowhere are looked for in a file whose sections are well, and nothing can be
said of a text that is no YAML.
"""

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import ValidationError

from gateway.config.faults import ConfigError, Fault
from gateway.config.model import RoutingFile
from gateway.config.placeholders import fill
from gateway.config.wording import faults_of

File = TypeVar("File", bound=RoutingFile)

YAML_HINTS = {
    "\\t": "; indent with spaces, not tabs",
    "block end": "; this line is indented otherwise than its neighbours",
    "mapping values": "; a value with a colon in it needs quotes",
}
"""By a sign in the parser's words, what is most often the way out."""


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
        raise ConfigError(
            str(path),
            [
                Fault(
                    "",
                    f"cannot read it: {reason}; give the file with --config, or copy "
                    "deploy/config/tollway.example.yaml there",
                )
            ],
        ) from None
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
    filled, unfilled = fill(raw, os.environ if env is None else env, folder)
    found: list[Fault] = []
    try:
        parsed = schema.model_validate(filled)
        found = parsed.cross_check()
    except ValidationError as error:
        found = faults_of(error, schema)
    # What could not be filled in is told once, as such; what else is wrong is told beside it.
    faults = [*unfilled, *(fault for fault in found if not any(_one_place(fault, other) for other in unfilled))]
    if faults:
        raise ConfigError(source, faults)
    return parsed


def _one_place(one: Fault, other: Fault) -> bool:
    """Whether one of the two is at or above the other's place."""
    return one.path.startswith(other.path) or other.path.startswith(one.path)


def _yaml_fault(error: yaml.YAMLError) -> Fault:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark, problem = error.problem_mark, error.problem or "this is not YAML"
        hint = next((hint for sign, hint in YAML_HINTS.items() if sign in problem), "")
        return Fault(f"line {mark.line + 1}, column {mark.column + 1}", problem + hint)
    return Fault("", f"this is not YAML: {error}")
