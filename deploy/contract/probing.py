"""Asking upstreams which models they have: GET /models, with the upstream's own key."""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from gateway.config import Upstream

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Probed:
    """What one host of an upstream said."""

    upstream: str
    place: str
    """Its key in the configuration."""
    models: frozenset[str] | None
    """None = it did not say."""
    problem: str = ""
    """Why not; "" where it simply does not list models, which breaks nothing."""


def probe(upstreams: Iterable[Upstream]) -> list[Probed]:
    """Ask every host of each, one after the other, as the gateway would: through no proxy that the environment names,
    and with no key but the upstream's. Never raises for what a host does."""
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=ssl.create_default_context()) as client:
        return [
            _ask(client, upstream, place, url)
            for upstream in upstreams
            for place, url in zip(_places(upstream), upstream.base_urls, strict=True)
        ]


def _places(upstream: Upstream) -> list[str]:
    name = f"upstreams.{upstream.name}"
    return (
        [f"{name}.base_url", *(f"{name}.hosts[{i}]" for i in range(len(upstream.hosts)))] if upstream.hosts else [name]
    )


def _ask(client: httpx.Client, upstream: Upstream, place: str, url: str) -> Probed:
    key = upstream.api_key.get_secret_value()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        base, mark, query = url.partition("?")
        answer = client.get(f"{base.rstrip('/')}/models{mark}{query}", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Probed(upstream.name, place, None, f"it does not answer ({type(error).__name__})")
    if answer.status_code in {401, 403}:
        return Probed(upstream.name, place, None, f"it refuses our key (status {answer.status_code})")
    if answer.status_code >= 500:
        return Probed(upstream.name, place, None, f"it answers status {answer.status_code}")
    try:
        models = frozenset(str(entry["id"]) for entry in answer.json()["data"])
    except (ValueError, KeyError, TypeError):
        return Probed(upstream.name, place, None)
    return Probed(upstream.name, place, models)
