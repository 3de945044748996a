"""What an ended call's answer says of itself, streamed or whole: its usage and its identity."""

from collections.abc import Mapping

from gateway.domain.usage import NO_USAGE, Completeness, Usage
from gateway.flow import answer as answers
from gateway.flow.booking import normalised
from gateway.relay.relay import Relay
from gateway.relay.usage import raw_usage


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
    """The answer's id, model, finish reason and service tier; "" where it has none."""
    if relay is not None:
        return relay.response_id, relay.model, relay.finish_reason, relay.service_tier
    return answers.identity(fields) if fields else ("", "", "", "")
