"""One entry of LiteLLM's model_list as a target of ours, and the upstreams that the entries share."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deploy.importing.notes import Note
from deploy.importing.providers import Vendor, vendor_of
from deploy.importing.secrets import ENVIRON, Placeholders
from deploy.importing.shapes import dollars_per_million, mapped, whole

EFFECTIVE_FROM = "2023-01-01T00:00:00Z"
"""A LiteLLM price has no date; its card holds from before any traffic that could be imported."""
COSTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "output_cost_per_reasoning_token": "reasoning",
}
TAKEN = {
    "model", "api_base", "base_url", "api_key", "rpm", "tpm", "weight", "order", "region_name",
    "max_parallel_requests", "max_retries", "num_retries", "api_version", "custom_llm_provider", *COSTS,
}  # fmt: skip
INFO_TAKEN = {"id", "mode", "max_input_tokens", "max_output_tokens", "max_tokens", *COSTS}
MODES = {"chat", "completion", "embedding", "responses"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at an upstream, and how LiteLLM would choose it."""

    upstream: str
    model: str
    order: int
    shares: Mapping[str, int | None]
    """By weight, rpm and tpm: what LiteLLM draws by, in that order."""
    retries: int | None
    context_tokens: int | None
    max_output_tokens: int | None


class Deployments:
    """Reads entries; the upstreams and cards they need gather here."""

    def __init__(self, notes: list[Note], placeholders: Placeholders) -> None:
        self._notes = notes
        self._placeholders = placeholders
        self.upstreams: dict[str, dict[str, Any]] = {}
        self.cards: dict[tuple[str, str], dict[str, Any]] = {}
        self._by_identity: dict[tuple[object, ...], str] = {}

    def read(self, entry: Mapping[str, Any], place: str) -> Deployment | None:
        """The deployment, or None, with a note, for one that cannot be called over the OpenAI wire."""
        params, info = mapped(entry.get("litellm_params")), mapped(entry.get("model_info"))
        if not isinstance(params.get("model"), str) or not params["model"]:
            self._note(place, "has no litellm_params.model; left out")
            return None
        for name in ("rpm", "tpm"):
            params.setdefault(name, entry.get(name))
        mode = info.get("mode", "chat")
        base = params.get("api_base") or params.get("base_url")
        model = (
            f"{params['custom_llm_provider']}/{params['model']}" if "custom_llm_provider" in params else params["model"]
        )
        vendor, name = vendor_of(model, has_base=bool(base))
        if mode not in MODES:
            self._note(f"{place}.model_info.mode", f"{mode}: no route of Tollway's; left out")
            return None
        if vendor is None or not (vendor.base_url or base):
            lacks = "has no OpenAI-compatible endpoint known here" if vendor is None else "needs an api_base"
            self._note(
                f"{place}.litellm_params.model", f"{params['model']}: {lacks}; left out (an aggregator may reach it)"
            )
            return None
        self._tell_the_rest(place, params, info)
        if vendor.caveat:
            self._note(f"{place}.litellm_params.model", f"{vendor.provider}'s endpoint {vendor.caveat}")
        upstream = self._upstream(vendor, name, base, params, place)
        self._card(vendor.provider, name, {**params, **info}, place)
        return Deployment(
            upstream=upstream,
            model=name,
            order=whole(params.get("order")) or 0,
            shares={by: whole(params.get(by)) for by in ("weight", "rpm", "tpm")},
            retries=whole(params.get("max_retries", params.get("num_retries"))),
            context_tokens=whole(info.get("max_input_tokens")),
            max_output_tokens=whole(info.get("max_output_tokens")),
        )

    def _upstream(self, vendor: Vendor, model: str, base: object, params: Mapping[str, Any], place: str) -> str:
        url = self._url(vendor, base, place)
        limits = {
            "max_inflight": whole(params.get("max_parallel_requests")),
            "requests_per_minute": whole(params.get("rpm")),
            "tokens_per_minute": whole(params.get("tpm")),
        }
        # LiteLLM's limits are a deployment's own, so a deployment with one is an upstream of its own.
        limited = (model, *limits.values()) if any(limits.values()) else ()
        region = self._placeholders.text(params.get("region_name") or "")
        given = params.get("api_key") or (ENVIRON + vendor.key_name if vendor.key_name else "")
        identity = (vendor.provider, url, str(given), region, limited)
        if identity in self._by_identity:
            return self._by_identity[identity]
        name = self._name(vendor, url, base)
        entry: dict[str, Any] = {"base_url": url}
        key = self._placeholders.secret(given, f"{place}.litellm_params.api_key", f"{name}_API_KEY") if given else ""
        if key:
            entry["api_key"] = key
        entry |= {"provider": vendor.provider, "account": self._account(key, vendor), "pattern": vendor.pattern}
        entry |= {"region": region} if region else {}
        entry |= {name: value for name, value in limits.items() if value}
        self.upstreams[name] = entry
        self._by_identity[identity] = name
        return name

    def _url(self, vendor: Vendor, base: object, place: str) -> str:
        if not base:
            return vendor.base_url
        url = self._placeholders.text(base).rstrip("/")
        if vendor.provider == "azure.ai.openai":
            self._note(f"{place}.litellm_params", "Azure's v1 endpoint is used, which takes no api_version")
        if url.startswith("${"):
            if vendor.path:
                self._note(
                    f"{place}.litellm_params.api_base", f"comes from the environment; {vendor.path} was put behind it"
                )
            return url + vendor.path
        return url if not vendor.path or url.endswith(vendor.path) else url + vendor.path

    @staticmethod
    def _account(key: str, vendor: Vendor) -> str:
        """Who is billed goes by the key; LiteLLM has no name for it."""
        return re.sub(r"_?(API_)?KEY", "", key.strip("${}")).lower().strip("_") or vendor.provider

    def _name(self, vendor: Vendor, url: str, base: object) -> str:
        stem = vendor.provider.partition(".")[0].replace("_", "-")
        if base and not str(base).startswith(ENVIRON):
            host = urlsplit(url).hostname or ""
            label = host if re.fullmatch(r"[\d.]+|localhost", host) else host.partition(".")[0]
            stem = f"{stem}-{label}" if re.fullmatch(r"[A-Za-z0-9.-]+", label) else stem
        name, number = stem, 1
        while name in self.upstreams:
            number += 1
            name = f"{stem}-{number}"
        return name

    def _card(self, provider: str, model: str, costs: Mapping[str, Any], place: str) -> None:
        prices = {}
        for name, token_class in COSTS.items():
            if costs.get(name) is None:
                continue
            if (price := dollars_per_million(costs[name])) is None:
                self._note(f"{place}.{name}", "is not a price; left out")
            else:
                prices[token_class] = price
        if not prices:
            return
        card = {"provider": provider, "model": model, "currency": "USD", "effective_from": EFFECTIVE_FROM}
        known = self.cards.setdefault((provider, model), {**card, "per_million_tokens": prices})
        if known["per_million_tokens"] != prices:
            self._note(place, f"{provider}/{model} has another price elsewhere in the file; the first one stands")

    def _tell_the_rest(self, place: str, params: Mapping[str, Any], info: Mapping[str, Any]) -> None:
        for name in params:
            if name not in TAKEN:
                self._note(f"{place}.litellm_params.{name}", "not translated")
        for name in info:
            if name not in INFO_TAKEN and not name.startswith("supports_"):
                self._note(f"{place}.model_info.{name}", "not translated")

    def _note(self, place: str, words: str) -> None:
        self._notes.append(Note(place, words))
