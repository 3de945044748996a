"""A LiteLLM proxy's config.yaml as a Tollway configuration that `tollway check` passes, and all that is not in it.

Several deployments of one model_name become weighted targets; those of a higher `order`, then the model's fallbacks,
its ladder. Every key of the file is either translated or in the notes with its place. No secret is copied.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from math import gcd
from typing import Any

from deploy.importing.deployments import Deployment, Deployments
from deploy.importing.notes import Note
from deploy.importing.secrets import Placeholders
from deploy.importing.settings import TIER, RouterSettings, read_settings
from deploy.importing.shapes import listed

WEIGHT_MAX = 10_000
NAME_RULE = "letters, digits and ._:/- only"


@dataclass(frozen=True, slots=True)
class Translation:
    """What came of a file."""

    config: dict[str, Any]
    """Tollway's sections, with ${NAME} for each secret."""
    notes: tuple[Note, ...]
    environment: tuple[str, ...]
    """The names that must be set."""


class NothingToImport(ValueError):
    """A file without one deployment that could be translated; `notes` says why."""

    def __init__(self, notes: list[Note]) -> None:
        super().__init__("no model of this file can be served: " + "; ".join(map(str, notes)))
        self.notes = tuple(notes)


def translate(file: Mapping[str, Any], is_name: Any) -> Translation:
    """The configuration of a parsed LiteLLM file; `is_name` tells what may be a name in ours.

    Raises NothingToImport.
    """
    notes: list[Note] = []
    placeholders = Placeholders(notes)
    deployments = Deployments(notes, placeholders)
    groups: dict[str, list[Deployment]] = {}
    for i, entry in enumerate(_entries(file, notes)):
        place = f"model_list[{i}]"
        name = entry.get("model_name")
        if not isinstance(name, str) or not is_name(name):
            wild = "a wildcard, which cannot be an alias" if "*" in str(name) else f"no name here ({NAME_RULE})"
            notes.append(Note(f"{place}.model_name", f"{name!r} is {wild}; left out"))
        elif (deployment := deployments.read(entry, place)) is not None:
            groups.setdefault(name, []).append(deployment)
    if not groups:
        raise NothingToImport(notes)
    settings = read_settings(file, groups.keys(), notes, placeholders)
    aliases = {name: _alias(group, settings.ladders.get(name, []), name, notes) for name, group in groups.items()}
    for name, stands_for in settings.other_names.items():
        if is_name(name):
            aliases[name] = deepcopy(aliases[stands_for])
        else:
            notes.append(Note(f"router_settings.model_group_alias.{name}", f"not a name here ({NAME_RULE}); left out"))
    config = _config(settings, deployments, aliases)
    notes += _unpriced(config)
    return Translation(config, tuple(notes), tuple(placeholders.names))


def _entries(file: Mapping[str, Any], notes: list[Note]) -> Iterator[Mapping[str, Any]]:
    for i, entry in enumerate(listed(file.get("model_list"))):
        if isinstance(entry, Mapping):
            yield entry
            for name in entry.keys() - {"model_name", "litellm_params", "model_info", "rpm", "tpm"}:
                notes.append(Note(f"model_list[{i}].{name}", "not translated"))
        else:
            yield {}


def _config(settings: RouterSettings, deployments: Deployments, aliases: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {
        "tenants": {"default": {"keys": [settings.key]}},
        "tiers": {TIER: settings.tier},
        "upstreams": deployments.upstreams,
        "aliases": aliases,
    }
    for name, section in (("breaker", settings.breaker), ("fallback", settings.fallback), ("cache", settings.cache)):
        if section:
            config[name] = section
    if deployments.cards:
        config["rate_cards"] = list(deployments.cards.values())
    return config


def _unpriced(config: Mapping[str, Any]) -> Iterator[Note]:
    """A rung below the first choice is called only within fallback.max_extra_spend_usd, so only with a price."""
    priced = {(card["provider"], card["model"]) for card in config.get("rate_cards", ())}
    below = {
        rung["alias"] for alias in config["aliases"].values() for rung in alias.get("fallback", ()) if "alias" in rung
    }
    below |= set(config.get("fallback", {}).get("chain", ()))
    rungs = [t for name in sorted(below) for t in config["aliases"][name]["targets"]]
    for alias in config["aliases"].values():
        rungs += alias["targets"][1:] + [rung for rung in alias.get("fallback", ()) if "model" in rung]
    wanting = {(config["upstreams"][rung["upstream"]]["provider"], rung["model"]) for rung in rungs} - priced
    if wanting:
        names = ", ".join(f"{provider}/{model}" for provider, model in sorted(wanting))
        yield Note("rate_cards", f"add one for each of these, or they are never fallen back on: {names}")


def _alias(group: list[Deployment], ladder: list[str], name: str, notes: list[Note]) -> dict[str, Any]:
    first = min(one.order for one in group)
    front = [one for one in group if one.order == first]
    behind = sorted((one for one in group if one.order != first), key=lambda one: one.order)
    targets = [_target(one) for one in front]
    for target, weight in zip(targets, _weights(front), strict=True):
        if weight is not None:
            target["weight"] = weight
    if unasked := [target["upstream"] for target in targets if target.get("weight") == 0]:
        words = f"{', '.join(unasked)} has no share there, so it is asked only when the others fail, as LiteLLM does"
        notes.append(Note(name, words))
    alias: dict[str, Any] = {"tier": TIER, "targets": targets}
    rungs = [_target(one) for one in behind] + [{"alias": other} for other in ladder]
    if rungs:
        alias["fallback"] = rungs
    retries = {one.retries for one in group if one.retries is not None}
    if retries:
        alias["tiers"] = {TIER: {"retries": min(10, max(retries))}}
    if len(retries) > 1:
        notes.append(Note(name, f"its deployments' retries differ; all of them take {max(retries)}"))
    longest = [one.max_output_tokens for one in group if one.max_output_tokens]
    if longest:
        alias["max_output_tokens"] = max(longest)
    return alias


def _target(one: Deployment) -> dict[str, Any]:
    target: dict[str, Any] = {"upstream": one.upstream, "model": one.model}
    if one.context_tokens:
        target["context_tokens"] = one.context_tokens
    return target


def _weights(group: list[Deployment]) -> list[int | None]:
    """As LiteLLM's simple-shuffle draws: by weight, rpm or tpm, the one that the first deployment has; else evenly."""
    if len(group) == 1:
        return [None]
    for by in ("weight", "rpm", "tpm"):
        if group[0].shares[by] is not None:
            shares = [one.shares[by] or 0 for one in group]
            if any(shares):
                unit = gcd(*shares)
                excess = max(1, -(-max(shares) // unit // WEIGHT_MAX))
                return [share and max(1, share // unit // excess) for share in shares]
    return [1] * len(group)
