"""What every section of the file is made of: frozen models that are strict about keys, and the names they use."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict


def shaped(pattern: str, words: str) -> AfterValidator:
    """A text must be wholly of that pattern; who reads the fault is told in words what it must be."""
    form = re.compile(pattern)

    def check(value: str) -> str:
        if not form.fullmatch(value):
            raise ValueError(f"must be {words}")
        return value

    return AfterValidator(check)


SIMPLE_NAME = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}"
"""Aliases, tenants, tiers and upstreams: safe in a header, a metric label and a path."""

Name = Annotated[
    str, shaped(SIMPLE_NAME, "a name of letters, digits and . _ : / - (128 at most, a letter or a digit first)")
]
Listen = Annotated[
    str, shaped(r"(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}", "a host and a port, such as 127.0.0.1:8080 or [::1]:8080")
]


def _split(value: object) -> object:
    """A comma-separated text is a list; environment variables carry lists this way."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


NameList = Annotated[tuple[Name, ...], BeforeValidator(_split)]


class Section(BaseModel):
    """A part of the file: frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def named(value: object) -> object:
    """Give each entry of a mapping its own key as `name`. Raises ValueError for an entry that has one already."""
    if not isinstance(value, dict):
        return value
    for key, inner in value.items():
        if isinstance(inner, dict) and "name" in inner:
            raise ValueError(f"{key}: no such key 'name'; an entry's name is the key that it stands under")
    return {key: {**inner, "name": str(key)} if isinstance(inner, dict) else inner for key, inner in value.items()}
