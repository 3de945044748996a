"""Asking upstreams which models they have: GET /models, with the upstream's own key."""

from collections.abc import Iterable
from dataclasses import dataclass

import httpx

from gateway.config import Upstream

TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Probed:
    """What one upstream said."""

    upstream: str
    models: frozenset[str] | None
    """None = it did not say."""
    problem: str = ""
    """Why not; "" where it simply does not list models, which breaks nothing."""


def probe(upstreams: Iterable[Upstream]) -> list[Probed]:
    """Ask each, one after the other. Never raises for what an upstream does."""
    with httpx.Client(timeout=TIMEOUT_S) as client:
        return [_ask(client, upstream) for upstream in upstreams]


def _ask(client: httpx.Client, upstream: Upstream) -> Probed:
    key = upstream.api_key.get_secret_value()
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        base, mark, query = upstream.base_url.partition("?")
        answer = client.get(f"{base.rstrip('/')}/models{mark}{query}", headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Probed(upstream.name, None, f"it does not answer ({type(error).__name__})")
    if answer.status_code in {401, 403}:
        return Probed(upstream.name, None, f"it refuses our key (status {answer.status_code})")
    if answer.status_code >= 500:
        return Probed(upstream.name, None, f"it answers status {answer.status_code}")
    try:
        models = frozenset(str(entry["id"]) for entry in answer.json()["data"])
    except (ValueError, KeyError, TypeError):
        return Probed(upstream.name, None)
    return Probed(upstream.name, models)
