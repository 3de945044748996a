"""What an ended call's answer says of itself, streamed or whole: its usage and its identity."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.domain.attempt import Intent
from gateway.domain.ids import response_ids
from gateway.domain.usage import NO_USAGE, Completeness, Usage
from gateway.flow import answer as answers
from gateway.flow.booking import normalised
from gateway.relay.relay import Relay
from gateway.relay.usage import raw_usage
from gateway.wire.kinds import Kind


def usage_of(relay: Relay | None, fields: Mapping[str, object] | None, body: bytes) -> tuple[Usage, Completeness, str]:
    """The token counts, how complete they are, and the vendor's own JSON of them. `fields` is the whole answer that
    `body` holds, None where there is none."""
    if relay is not None:
        raw, final, text = relay.usage, relay.usage_is_final, relay.usage_raw
    else:
        found = fields.get("usage") if fields else None
        raw, final = (found if isinstance(found, dict) else None), True
        text = raw_usage(body, raw) if raw is not None else ""
    usage = normalised(raw)
    if usage is None:
        return NO_USAGE, Completeness.UNKNOWN, text
    return usage, Completeness.MEASURED if final else Completeness.ESTIMATED, text


def identity_of(relay: Relay | None, fields: Mapping[str, object] | None) -> tuple[str, str, str, str]:
    """The answer's id, model, finish reason and service tier; "" where it has none. A response whose stream was cut
    finished `in_progress`, by which a reconciliation knows that its usage may stand in a later attempt."""
    if relay is not None:
        finish_reason = "in_progress" if relay.running else relay.finish_reason
        return relay.response_id, relay.model, finish_reason, relay.service_tier
    return answers.identity(fields) if fields else ("", "", "", "")


def told_by(intent: Intent, completeness: Completeness, response_id: str) -> Intent:
    """The intent under whose span an ended attempt is on the books: of a response that told its usage, the span under
    which a later look at it would tell the same, so that the two land once."""
    if completeness is not Completeness.MEASURED or not response_id or intent.route != Kind.RESPONSES.route:
        return intent
    _, span_id = response_ids(
        provider=intent.provider,
        account=intent.account,
        upstream=intent.upstream,
        operation=intent.parent_span_id,
        response=response_id,
    )
    return replace(intent, span_id=span_id)
