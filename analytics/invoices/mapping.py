"""A table of any vendor, told in a small YAML file: which columns say what, in which form, unit and time zone.

    name: my_vendor                     # as the store keeps it
    title: My vendor's cost export
    document: cost                      # or usage, or invoice
    time_zone: America/Los_Angeles      # of times without zone, and of the vendor's days; UTC if not given
    start: {column: date, format: "%m/%d/%Y"}        # without format: ISO 8601
    amount: {column: cost, unit: cents}
    fields:                             # each a column or a constant; rules: the first that matches gives the value
      line_item: {column: meter}
      currency: {constant: USD}
      model: {column: meter, slug: true, rules: [{match: "^(.+?) Tokens", value: '\\1'}]}
      token_class: {column: meter, rules: [{match: "(?i)output", value: output}]}

A mapping that cannot be so is refused with all its faults, each at its place.
"""

import re
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from analytics.invoices.entries import Category, Document
from gateway.domain.usage import TokenClass

SHIPPED = Path(__file__).parent / "mappings"


class MappingInvalid(ValueError):
    """A mapping file that cannot be used; the message has every fault with its place."""


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from error
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone such as America/Los_Angeles") from None
    return name


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Section):
    """Where the pattern is found, the value; \\1 stands for the pattern's first group."""

    match: Annotated[str, AfterValidator(_pattern)]
    value: str

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The pattern, compiled."""
        return re.compile(self.match)

    @model_validator(mode="after")
    def _has_its_groups(self) -> "Rule":
        asked = [int(number) for number in re.findall(r"\\(\d)", self.value)]
        if asked and max(asked) > self.pattern.groups:
            raise ValueError(f"value asks for group {max(asked)}, and match has {self.pattern.groups}")
        return self


class Text(_Section):
    """A text of each row: a column's or a constant. With rules, what the first that matches makes of it, or nothing."""

    column: str = ""
    constant: str = ""
    rules: tuple[Rule, ...] = ()
    slug: bool = False
    """In lower case, with - for spaces."""

    @model_validator(mode="after")
    def _one_source(self) -> "Text":
        if bool(self.column) == bool(self.constant):
            raise ValueError("give a column or a constant, one of the two")
        return self


class Time(_Section):
    """A moment of each row."""

    column: str
    format: str = ""
    """strptime's; "" = ISO 8601."""


class Amount(_Section):
    """Money of each row."""

    column: str
    unit: Literal["dollars", "cents"] = "dollars"
    """Or other whole and hundredth units of the currency."""


class Pricing(_Section):
    """The amount in the currency in which it is priced, where it may be billed in another one."""

    amount: str
    currency: str
    fx_rate: str = ""


class Choice(_Section):
    """A column whose value has to be among some for the row to be imported; the others are left out and counted."""

    column: str
    values: tuple[str, ...] = Field(min_length=1)


class Categories(_Section):
    """The kind of charge, from a column's value. A value that is not listed is refused."""

    column: str
    values: dict[str, Category]


FIELDS = (
    "line_item",
    "currency",
    "model",
    "token_class",
    "processing_tier",
    "region",
    "deployment_type",
    "modality",
    "context_tier",
    "unit",
    "organization",
    "project_id",
    "api_key_id",
    "user_id",
    "invoice_id",
    "request_id",
)


class Mapping(_Section):
    """What a table's columns mean."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")]
    title: str
    document: Document
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    start: Time
    end: Time | None = None
    """Exclusive; none = a day of the time zone behind the start."""
    bill_month: Time | None = None
    """A moment in the month of the bill: what is of another month stands by this one's first day."""
    amount: Amount | None = None
    credit: Amount | None = None
    """Credits that a row has beside its amount: a line of their own."""
    pricing: Pricing | None = None
    quantity: str = ""
    """Column."""
    units: dict[str, int] = Field(default_factory=dict)
    """Tokens in one of a unit, by what the field `unit` says; "1M tokens" and the like are known."""
    category: Categories | None = None
    only: Choice | None = None
    fields: dict[str, Text]
    tags: dict[str, str] = Field(default_factory=dict)
    """What else is kept: name and column."""
    told_by: tuple[str, ...] = ()
    """Columns by which the table is known to be of this kind, though others are missing."""

    @model_validator(mode="after")
    def _whole(self) -> "Mapping":
        for name, text in self.fields.items():
            if name not in FIELDS:
                raise ValueError(f"fields.{name}: no such field{_near(name, FIELDS)}")
            if name == "token_class":
                _check_classes(text)
        if (self.amount is None) != (self.document is Document.USAGE):
            raise ValueError("amount: costs and invoices have one, and usage has none")
        if self.document is Document.INVOICE and "invoice_id" not in self.fields:
            raise ValueError("fields.invoice_id: an invoice stands by its number, so say where it is")
        if self.document is not Document.USAGE and "currency" not in self.fields:
            raise ValueError("fields.currency: say which column has it, or {constant: USD}")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that has to be there."""
        times = [time.column for time in (self.start, self.end, self.bill_month) if time]
        money = [amount.column for amount in (self.amount, self.credit) if amount]
        priced = [self.pricing.amount, self.pricing.currency, self.pricing.fx_rate] if self.pricing else []
        picked = [one.column for one in (self.category, self.only) if one]
        texts = [text.column for text in self.fields.values()]
        found = [*times, *money, *priced, *picked, self.quantity, *texts, *self.tags.values()]
        return tuple(dict.fromkeys(name for name in found if name))


def load(path: Path) -> Mapping:
    """The mapping of a file. Raises MappingInvalid, and OSError for a file that cannot be read."""
    try:
        told = yaml.safe_load(path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        raise MappingInvalid(f"{path.name}: not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise MappingInvalid(f"{path.name}{place}: not YAML ({getattr(error, 'problem', error)})") from error
    if not isinstance(told, dict):
        raise MappingInvalid(f"{path.name}: not a mapping with name, start, amount and fields")
    try:
        return Mapping.model_validate(told)
    except ValidationError as error:
        faults = "; ".join(_fault(one["loc"], one["msg"], one["type"]) for one in error.errors())
        raise MappingInvalid(f"{path.name}: {faults}") from None


def _fault(loc: tuple[int | str, ...], message: str, kind: str) -> str:
    place = ""
    for part in loc:
        place += f"[{part}]" if isinstance(part, int) else f"{'.' if place else ''}{part}"
    if kind == "extra_forbidden":
        return f"{place}: no such key{_near(str(loc[-1]), tuple(Mapping.model_fields)) if len(loc) == 1 else ''}"
    said = message.removeprefix("Value error, ")
    return f"{place}: {said}" if place else said


def _near(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def _check_classes(text: Text) -> None:
    said = [rule.value for rule in text.rules] or [text.constant]
    for number, value in enumerate(said):
        if value and value not in tuple(TokenClass):
            place = f"fields.token_class.rules[{number}].value" if text.rules else "fields.token_class.constant"
            raise ValueError(f"{place}: {value!r} is not among {', '.join(TokenClass)}")
