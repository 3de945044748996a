"""The marks that a request's copy for an upstream gets, so that the vendor's own cache finds its stable prefix."""

from collections.abc import Mapping

from gateway.cache.canonical import BODY_BYTES_MAX
from gateway.cache.template import Prefixes, marked, opening, wants_key
from gateway.config import Upstream
from gateway.flow.plane import Plane
from gateway.flow.record import RequestRecord
from gateway.ladder.ladder import Rung
from gateway.upstream.choice import cached_is_cheaper
from gateway.wire.kinds import Kind

KEY_NAME = "prefix"
"""What the keys are made for, so that none equals one made of a caller's own id."""


def observe(prefixes: Prefixes, record: RequestRecord) -> None:
    """Learn from one request, once, and note what of it is stable."""
    request = record.request
    if request.kind not in (Kind.CHAT, Kind.RESPONSES) or len(request.body) > BODY_BYTES_MAX:
        return
    if "template" not in record.route.tier.cache_allowed:
        return
    fields = request.fields
    if request.kind is Kind.RESPONSES:
        fields = {"tools": fields.get("tools"), "messages": opening(fields)}
    record.stable = prefixes.observe(record.tenant, record.route.alias.name, fields)


def marks(plane: Plane, record: RequestRecord, upstream: Upstream, rung: Rung) -> Mapping[str, object]:
    """The members of the body to replace or add for that rung. None where its card does not make cached tokens cheaper:
    there a mark could only cost."""
    stable, request = record.stable, record.request
    card = record.card(rung) if stable is not None else None
    if stable is None or card is None or not cached_is_cheaper(card):
        return {}
    chat = request.kind is Kind.CHAT
    changes: dict[str, object] = {}
    if wants_key(upstream.provider, stable, request.fields, responses=not chat):
        changes["prompt_cache_key"] = plane.identity.keyed(record.tenant, KEY_NAME, stable.head)
    messages = marked(upstream.provider, stable, request.fields, request.body) if chat else None
    if messages is not None:
        changes["messages"] = messages
    for name in changes:
        plane.metrics.template_marks.add(record.route.alias.name, upstream.name, MARKS[name])
    return changes


MARKS = {"prompt_cache_key": "prompt_cache_key", "messages": "cache_control"}
