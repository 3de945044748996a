"""What every section of the file is made of: frozen models that are strict about keys, and the names they use."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

SIMPLE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""Aliases, tenants, tiers and upstreams: safe in a header, a metric label and a path."""

Name = Annotated[str, Field(pattern=SIMPLE_NAME)]
Listen = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$")]


def _split(value: object) -> object:
    """A comma-separated text is a list; environment variables carry lists this way."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


NameList = Annotated[tuple[Name, ...], BeforeValidator(_split)]


class Section(BaseModel):
    """A part of the file: frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def named(value: object) -> object:
    """Give each entry of a mapping its own key as `name`."""
    if not isinstance(value, dict):
        return value
    return {key: {**inner, "name": str(key)} if isinstance(inner, dict) else inner for key, inner in value.items()}
