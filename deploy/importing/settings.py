"""LiteLLM's router_settings, litellm_settings and general_settings: what of them has a place in Tollway."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.importing.notes import Note
from deploy.importing.secrets import Placeholders
from deploy.importing.shapes import listed, mapped, seconds, whole

TIER = "interactive"
MAX_INFLIGHT = 256
"""LiteLLM bounds nothing unless told to; a pool must have a size."""
NO_EFFECT = {"set_verbose", "json_logs", "routing_strategy", "drop_params", "debug_level", "num_workers"}
LADDERS = {
    "fallbacks": "",
    "context_window_fallbacks": "put at the ladder's end; with context_tokens on targets, long prompts skip to it",
    "content_policy_fallbacks": "put at the ladder's end, where it also serves other failures",
}


@dataclass(slots=True)
class RouterSettings:
    """The sections that do not come from deployments."""

    key: str
    tier: dict[str, Any]
    breaker: dict[str, Any] = field(default_factory=dict)
    fallback: dict[str, Any] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    ladders: dict[str, list[str]] = field(default_factory=dict)
    """By alias, the aliases below it."""
    other_names: dict[str, str] = field(default_factory=dict)


class _Section:
    """A section of the file that remembers which of its keys were taken."""

    def __init__(self, file: Mapping[str, Any], name: str) -> None:
        self.name = name
        self._values = mapped(file.get(name))
        self._taken: set[str] = set()

    def take(self, key: str) -> Any:
        self._taken.add(key)
        return self._values.get(key)

    def left(self) -> list[str]:
        return [key for key in self._values if key not in self._taken]


def read_settings(
    file: Mapping[str, Any], names: Collection[str], notes: list[Note], placeholders: Placeholders
) -> RouterSettings:
    """What those sections say; `names` are the aliases there are."""
    router, library, general = (_Section(file, n) for n in ("router_settings", "litellm_settings", "general_settings"))
    settings = RouterSettings(_key(general, placeholders), _tier(router, library, general, notes))
    _breaker(settings, router, library, notes)
    for section in (router, library):
        for kind, caveat in LADDERS.items():
            _ladder(settings, section, kind, caveat, names, notes)
        _default_ladder(settings, section, names, notes)
    _other_names(settings, router, names, notes)
    _cache(settings, library, notes)
    strategy = router.take("routing_strategy")
    if strategy not in {None, "simple-shuffle"}:
        notes.append(
            Note("router_settings.routing_strategy", f"{strategy}: targets are drawn by fixed weights instead")
        )
    for section in (router, library, general):
        for key in section.left():
            words = "needs nothing here" if key in NO_EFFECT else "not translated"
            notes.append(Note(f"{section.name}.{key}", words))
    _other_sections(file, notes)
    return settings


def _key(general: _Section, placeholders: Placeholders) -> str:
    master = general.take("master_key")
    if master is None:
        return placeholders.environment("TOLLWAY_DEFAULT_KEY")
    return placeholders.secret(master, "general_settings.master_key", "LITELLM_MASTER_KEY")


def _tier(router: _Section, library: _Section, general: _Section, notes: list[Note]) -> dict[str, Any]:
    bounds = [whole(general.take(name)) for name in ("global_max_parallel_requests", "max_parallel_requests")]
    tier: dict[str, Any] = {"max_inflight": next((b for b in bounds if b), MAX_INFLIGHT), "max_queue": 1024}
    retries = [whole(section.take("num_retries")) for section in (router, library)]
    if (chosen := next((r for r in retries if r is not None), None)) is not None:
        tier["retries"] = max(0, min(10, chosen))
        if chosen > 10:
            notes.append(Note("num_retries", f"{chosen} is more than the 10 a tier allows"))
    waits = [seconds(value) for value in (router.take("timeout"), library.take("request_timeout"))]
    if (limit := next((w for w in waits if w), None)) is not None:
        tier["answer_timeout_s"] = limit
        tier["total_timeout_s"] = min(86_400, max(600, limit * (2 + tier.get("retries", 0))))
    if first := seconds(router.take("stream_timeout")):
        tier["first_token_timeout_s"] = min(3600, first)
    return tier


def _breaker(settings: RouterSettings, router: _Section, library: _Section, notes: list[Note]) -> None:
    for section in (library, router):
        fails, rest = whole(section.take("allowed_fails")), seconds(section.take("cooldown_time"))
        if fails is not None:
            settings.breaker["consecutive_failures"] = max(1, fails + 1)
            notes.append(
                Note(f"{section.name}.allowed_fails", "failures in a row count here, where LiteLLM counts a minute's")
            )
        if rest is not None:
            settings.breaker["cooldown_s"] = rest
            settings.breaker["cooldown_max_s"] = max(rest, 600)


def _ladder(
    settings: RouterSettings, section: _Section, kind: str, caveat: str, names: Collection[str], notes: list[Note]
) -> None:
    for i, entry in enumerate(listed(section.take(kind))):
        for name, below in mapped(entry).items():
            place = f"{section.name}.{kind}[{i}].{name}"
            if name == "*":
                _chain(settings, below, place, names, notes)
                continue
            rungs = _known(below, place, names, notes)
            if name not in names:
                notes.append(Note(place, "there is no such alias in the result; left out"))
                continue
            ladder = settings.ladders.setdefault(name, [])
            ladder += [rung for rung in rungs if rung != name and rung not in ladder]
            if caveat and rungs:
                notes.append(Note(place, caveat))


def _default_ladder(settings: RouterSettings, section: _Section, names: Collection[str], notes: list[Note]) -> None:
    if below := section.take("default_fallbacks"):
        _chain(settings, below, f"{section.name}.default_fallbacks", names, notes)


def _chain(settings: RouterSettings, below: object, place: str, names: Collection[str], notes: list[Note]) -> None:
    chain = settings.fallback.setdefault("chain", [])
    chain += [rung for rung in _known(below, place, names, notes) if rung not in chain]


def _known(below: object, place: str, names: Collection[str], notes: list[Note]) -> list[str]:
    rungs = []
    for rung in below if isinstance(below, list) else [below]:
        if isinstance(rung, str) and rung in names:
            rungs.append(rung)
        else:
            shown = rung if isinstance(rung, str) else "a fallback with parameters of its own"
            notes.append(Note(place, f"{shown} is no alias of the result; left out"))
    return rungs


def _other_names(settings: RouterSettings, router: _Section, names: Collection[str], notes: list[Note]) -> None:
    for name, target in mapped(router.take("model_group_alias")).items():
        stands_for = str(target.get("model") if isinstance(target, Mapping) else target)
        if stands_for not in names:
            notes.append(
                Note(f"router_settings.model_group_alias.{name}", "stands for no alias of the result; left out")
            )
        elif name not in names:
            settings.other_names[name] = stands_for
        if isinstance(target, Mapping) and target.get("hidden"):
            notes.append(Note(f"router_settings.model_group_alias.{name}.hidden", "an alias is listed to its tenants"))


def _cache(settings: RouterSettings, library: _Section, notes: list[Note]) -> None:
    wanted, params = library.take("cache"), library.take("cache_params")
    if not wanted:
        return
    settings.cache["mode"] = "exact"
    notes.append(Note("litellm_settings.cache", "exact answers only, per tenant, and in this process's memory"))
    for name, value in mapped(params).items():
        if name == "ttl" and (ttl := seconds(value)):
            settings.cache["ttl_s"] = ttl
        elif name not in {"type", "mode"}:
            notes.append(Note(f"litellm_settings.cache_params.{name}", "not translated"))


def _other_sections(file: Mapping[str, Any], notes: list[Note]) -> None:
    ours = {"model_list", "router_settings", "litellm_settings", "general_settings"}
    for name, section in file.items():
        if name == "environment_variables":
            keys = ", ".join(section) if isinstance(section, Mapping) else "?"
            notes.append(Note(name, f"set these where Tollway is started; their values were not copied: {keys}"))
        elif name not in ours:
            notes.append(Note(str(name), "not translated"))
