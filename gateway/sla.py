"""What a tier promises, and how often a request did not get it: counts beside the promises, for Prometheus.

A request is held against each promise once, when it has ended. What the caller brought on itself, its hanging up
included, is no failure; a first token is held against its promise where one came. Of the five promises
`consecutive_failures` is kept by breakers and `recovery_s` counted by them (gateway/breakers/keeper.py); here they are
only told. A tier that promises nothing costs a request one look at a mapping.
"""

from collections.abc import Iterable, Iterator

from prometheus_client.core import Metric

from gateway.config import Tier
from gateway.config.tiers import Sla
from gateway.domain.attempt import Operation, Outcome
from gateway.domain.reasons import Reason
from gateway.metrics import gauge

QUEUE, ERRORS, FIRST_TOKEN = "max_queue_seconds", "error_budget", "p95_first_token_s"

CALLERS_OWN = frozenset(
    {
        Reason.CALLER_ERROR,
        Reason.CONTEXT_TOO_LONG,
        Reason.CONTENT_FILTER,
        Reason.CLIENT_CANCELLED,
        Reason.NOT_AUTHORIZED,
        Reason.BUDGET_EXHAUSTED,
        Reason.QUOTA_EXHAUSTED,
        Reason.FUSE_TRIPPED,
    }
)
"""Ends that no promise is about."""


def missed(sla: Sla, operation: Operation) -> Iterator[str]:
    """The promises that this request did not get, by their keys."""
    if sla.max_queue_seconds is not None and operation.queue_seconds > sla.max_queue_seconds:
        yield QUEUE
    blameless = operation.outcome in (Outcome.OK, Outcome.CANCELLED) or operation.error_type in CALLERS_OWN
    if sla.error_budget is not None and not blameless:
        yield ERRORS
    first_token_s = operation.first_token_seconds
    if sla.p95_first_token_s is not None and first_token_s is not None and first_token_s > sla.p95_first_token_s:
        yield FIRST_TOKEN


def counted(tiers: Iterable[Tier]) -> dict[str, Sla]:
    """By tier, of those that promise something that `missed` looks at."""
    looked_at = {QUEUE, ERRORS, FIRST_TOKEN}
    return {tier.name: tier.sla for tier in tiers if any(getattr(tier.sla, one) is not None for one in looked_at)}


def sla_metrics(tiers: Iterable[Tier]) -> Iterator[Metric]:
    """Every promise as it stands in the configuration."""
    told = ((tier.name, *one) for tier in tiers for one in tier.sla.model_dump(exclude_none=True).items())
    text = "What the tier promises, by its key under sla: seconds, a count, or a share of requests."
    yield gauge("tollway_sla_promised", text, ("tier", "promise"), (((t, key), float(value)) for t, key, value in told))
