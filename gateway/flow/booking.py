"""The one place where an attempt's end is written: to the books, to the metrics, and to what its alias has learned."""

import logging
from collections.abc import Mapping

from gateway.domain.attempt import Attempt, Operation
from gateway.domain.reasons import Reason
from gateway.domain.usage import NO_USAGE, Completeness, TokenClass, Usage, UsageInvalid, from_openai
from gateway.flow.plane import Plane
from gateway.sla import missed

logger = logging.getLogger(__name__)

TOKEN_CLASSES = tuple(token_class.value for token_class in TokenClass)

BLAMELESS = frozenset(
    {
        Reason.CALLER_ERROR,
        Reason.CONTEXT_TOO_LONG,
        Reason.CONTENT_FILTER,
        Reason.CLIENT_CANCELLED,
        Reason.GATEWAY_SHUTDOWN,
        Reason.HEDGE_LOST,
        Reason.JOURNAL_FULL,
    }
)
"""Ends that say nothing of the upstream's health."""


def book_attempt(plane: Plane, attempt: Attempt) -> None:
    """Record an attempt that ended. Never raises: what the books cannot take now they recover from the intent."""
    intent = attempt.intent
    if plane.budgets.open:
        plane.budgets.settle(attempt)
    try:
        plane.books.end(attempt)
    except OSError:
        logger.exception("the end of attempt %s was not recorded", intent.attempt_id)
    plane.desk.recent.attempted(attempt)
    metrics = plane.metrics
    metrics.attempts.add(intent.alias, intent.tier, intent.upstream, attempt.outcome, attempt.error_type)
    if attempt.first_token_seconds is not None:
        metrics.first_token.observe((intent.alias, intent.tier, intent.upstream), attempt.first_token_seconds)
    if attempt.completeness is Completeness.MEASURED:
        if intent.batch_size == 1:  # A shared answer says nothing of how long one is.
            plane.forecasts[intent.alias].learn(intent.request_bytes, attempt.usage)
        if attempt.usage.cache_read:
            metrics.provider_cache_hits.add(intent.alias, intent.upstream)
        for token_class in TOKEN_CLASSES:
            if count := getattr(attempt.usage, token_class):
                metrics.tokens.add(intent.alias, intent.upstream, token_class, by=count)


def book_operation(plane: Plane, operation: Operation, seconds: float) -> None:
    """Record a client's request that ended. Never raises."""
    try:
        plane.books.operation(operation)
    except OSError:
        logger.exception("the operation of request %s was not recorded", operation.request_id)
    plane.desk.recent.ended(operation)
    plane.metrics.requests.add(operation.alias, operation.tier, operation.outcome)
    plane.metrics.seconds.observe((operation.alias, operation.tier), seconds)
    if (sla := plane.slas.get(operation.tier)) is not None:
        for promise in missed(sla, operation):
            plane.metrics.sla_missed.add(operation.tier, promise)


def normalised(raw: Mapping[str, object] | None) -> Usage | None:
    """The vendor's usage as our token classes; None where there is none, or it contradicts itself."""
    if not raw:
        return None
    try:
        usage = from_openai(raw)
    except UsageInvalid as error:
        logger.warning("a vendor's usage was not understood: %s", error)
        return None
    return usage if usage != NO_USAGE else None
