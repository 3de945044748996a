"""What differs between two configurations, as places in the file: never values, since some of them are secrets."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from pydantic import BaseModel

from gateway.config.model import RoutingConfig
from gateway.domain.rate_card import RateBook

NOT_IN_THE_FILE = {"fingerprint"}
PLACES = {"control_url": "control.url", "rates_version": "rates"}
NEXT_START = ("gateway.listen", "gateway.journal_max_bytes", "control.url")
"""What a running process cannot change: it holds from the next start on."""


def changes(before: RoutingConfig, after: RoutingConfig) -> tuple[str, ...]:
    """Each place that differs, such as `tiers.agent.max_inflight`, `tenants.acme (new)`, `rate_cards`, sorted."""
    found: list[str] = []
    for field in fields(RoutingConfig):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if field.name in NOT_IN_THE_FILE:
            continue
        if isinstance(old, RateBook) and isinstance(new, RateBook):
            found += ["rate_cards"] if old.cards != new.cards else []
        elif isinstance(old, Mapping | BaseModel):
            found += _differences(field.name, old, new)
        elif old != new:
            found.append(PLACES.get(field.name, f"gateway.{field.name}"))
    return tuple(sorted(found))


def held_back(changed: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the changes that need a restart."""
    return tuple(place for place in changed if place in NEXT_START)


def _differences(path: str, old: object, new: object) -> Iterator[str]:
    if old == new:
        return
    if isinstance(old, BaseModel) and isinstance(new, BaseModel) and type(old) is type(new):
        for name in type(old).model_fields:
            yield from _differences(f"{path}.{name}", getattr(old, name), getattr(new, name))
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in old.keys() | new.keys():
            if name not in new:
                yield f"{path}.{name} (gone)"
            elif name not in old:
                yield f"{path}.{name} (new)"
            else:
                yield from _differences(f"{path}.{name}", old[name], new[name])
    else:
        yield path
