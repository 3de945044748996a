"""How one vendor behaves: what it sells at which price, how fast it is, and how often it fails.

Read once from a JSON or YAML file. Prices, shares and amounts of money are decimal strings in the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from deploy.demo.vendor import injections
from deploy.demo.vendor.injections import Injection

TOKEN_CLASSES = ("input", "cached input", "output")
"""What is priced apart, in the words of the cost export."""


class SettingsInvalid(ValueError):
    """The file does not describe a vendor; the message says where."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model as it is sold: the dated snapshot that answers, and dollars per million tokens by class."""

    snapshot: str
    per_million: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast answers come. All in seconds."""

    first_token_s: float = 0.03
    per_1000_uncached_s: float = 0.01
    """Added to the first token for each thousand prompt tokens that no cache had."""
    token_s: float = 0.004


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Shares of the requests that go wrong, each between 0 and 1; together at most 1."""

    error: float = 0.0
    rate_limited: float = 0.0
    retry_after_s: int = 1
    break_before_first_token: float = 0.0
    """Streams only: the connection closes after the chunk that has just the role."""
    break_after_second_chunk: float = 0.0
    """Streams only: the connection closes after two chunks of content (or all, of a shorter answer)."""
    slow_first_token: float = 0.0
    slow_first_token_s: float = 5.0
    outages: tuple[tuple[int, int], ...] = ()
    """Half-open ranges of request numbers, counted from 0, that all get a 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billing:
    """How a ledger becomes an invoice. Money in USD."""

    places: int = 6
    """Each line's amount is rounded to that many decimals, half to even."""
    surcharge_share: Decimal = Decimal(0)
    """A hidden addition to every output line, as a share of its exact amount. No price list has it."""
    surcharge_least: Decimal = Decimal(0)
    """The least that is added to an output line, when a surcharge is on."""
    forgiven: frozenset[str] = frozenset()
    """Ends of requests, in the ledger's words, that are not billed whatever they used: client_disconnect, say."""
    faults: tuple[Injection, ...] = ()
    """What is wrong with the invoice, in the order in which it is done to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One vendor."""

    name: str
    organization_id: str
    project_id: str
    keys: Mapping[str, str]
    """Bearer key to api key id; only the id is ever written down."""
    admin_key: str
    models: Mapping[str, Model]
    ledger: Path
    pace: Pace = Pace()
    faults: Faults = Faults()
    billing: Billing = Billing()
    seed: int | str = 0
    """Of the faults."""
    default_words: int = 24
    """Length of an answer whose request sets no bound."""
    witness: bool = False
    """Serve /_witness/*: for tests only."""


def read(path: Path) -> Settings:
    """The vendor described at `path` (JSON is YAML). Raises SettingsInvalid, or OSError for an unreadable file."""
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
        return parse(raw)
    except (yaml.YAMLError, KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise SettingsInvalid(f"{path}: {error!r}") from error


def parse(raw: Mapping[str, Any]) -> Settings:
    """A vendor from plain values. Raises KeyError, TypeError or ValueError for what is missing, unknown or wrong."""
    given = dict(raw)
    given["models"] = {name: _model(model) for name, model in given["models"].items()}
    given["ledger"] = Path(given["ledger"])
    given["pace"] = Pace(**given.get("pace", {}))
    faults = dict(given.get("faults", {}))
    faults["outages"] = tuple((int(first), int(end)) for first, end in faults.get("outages", ()))
    given["faults"] = Faults(**faults)
    given["billing"] = _billing(given.get("billing", {}))
    unknown = given.keys() - {field.name for field in fields(Settings)}
    if unknown:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    return Settings(**given)


def _billing(raw: Mapping[str, Any]) -> Billing:
    unknown = raw.keys() - {field.name for field in fields(Billing)}
    if unknown:
        raise ValueError(f"billing: unknown keys {sorted(unknown)}")
    return Billing(
        places=int(raw.get("places", 6)),
        surcharge_share=Decimal(str(raw.get("surcharge_share", 0))),
        surcharge_least=Decimal(str(raw.get("surcharge_least", 0))),
        forgiven=frozenset(raw.get("forgiven", ())),
        faults=tuple(injections.parse(each) for each in raw.get("faults", ())),
    )


def _model(raw: Mapping[str, Any]) -> Model:
    prices = {name: Decimal(str(price)) for name, price in raw["per_million"].items()}
    if prices.keys() != set(TOKEN_CLASSES):
        raise ValueError(f"{raw['snapshot']}: per_million needs exactly {TOKEN_CLASSES}")
    return Model(snapshot=str(raw["snapshot"]), per_million=prices)
