"""Spans without a length: a breaker or a region that moved, and what a tenant said of an answer. INTERNAL ones."""

from gateway.domain import attributes as names
from gateway.domain.attempt import Feedback, Transition
from gateway.telemetry.framing import framed
from gateway.telemetry.protobuf import Key, message

_INTERNAL = b"\x30\x01"
_TENANT, _ALIAS, _TIER, _UPSTREAM = Key(names.TENANT), Key(names.ALIAS), Key(names.TIER), Key(names.UPSTREAM)
_PROVIDER, _REGION = Key(names.PROVIDER_NAME), Key(names.REGION)
_REQUEST_ID, _RESPONSE_ID = Key(names.REQUEST_ID), Key(names.RESPONSE_ID)
_VERDICT, _SAID_WHY, _SCORE = Key(names.FEEDBACK_VERDICT), Key(names.FEEDBACK_REASON), Key(names.FEEDBACK_SCORE)
_SCOPE, _FAILURES_LED = Key(names.TRANSITION_SCOPE), Key(names.TRANSITION_FAILURES)
_OPEN_SECONDS = Key(names.TRANSITION_OPEN_SECONDS)
_MOVED = (Key(names.BREAKER_FROM), Key(names.BREAKER_TO), Key(names.BREAKER_CAUSE))


def of_transition(transition: Transition) -> bytes:
    """A breaker or a region that moved."""
    at = transition.at
    parts = [
        framed(transition.trace_id, transition.span_id, transition.parent_span_id, at, at),
        message(0x2A, names.BREAKER_TRANSITION.encode()),
        _INTERNAL,
        _SCOPE.text(transition.scope),
    ]
    texts = (
        (_TENANT, transition.tenant),
        (_ALIAS, transition.alias),
        (_TIER, transition.tier),
        (_UPSTREAM, transition.upstream),
        (_PROVIDER, transition.provider),
        (_REGION, transition.region),
    )
    parts += [key.text(value) for key, value in texts if value]
    moved = (transition.before, transition.after, transition.cause)
    parts += [key.text(value) for key, value in zip(_MOVED, moved, strict=True)]
    parts.append(_FAILURES_LED.integer(transition.failures))
    if transition.open_seconds is not None:
        parts.append(_OPEN_SECONDS.double(transition.open_seconds))
    return b"".join(parts)


def of_feedback(feedback: Feedback) -> bytes:
    """What a tenant said of an answer."""
    at = feedback.at
    parts = [
        framed(feedback.trace_id, feedback.span_id, feedback.parent_span_id, at, at),
        message(0x2A, names.FEEDBACK.encode()),
        _INTERNAL,
        _VERDICT.text(feedback.verdict),
    ]
    texts = (
        (_TENANT, feedback.tenant),
        (_ALIAS, feedback.alias),
        (_TIER, feedback.tier),
        (_REQUEST_ID, feedback.request_id),
        (_RESPONSE_ID, feedback.response_id),
        (_SAID_WHY, feedback.reason),
    )
    parts += [key.text(value) for key, value in texts if value]
    if feedback.score is not None:
        parts.append(_SCORE.double(feedback.score))
    return b"".join(parts)
