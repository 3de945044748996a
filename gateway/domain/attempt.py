"""The facts Tollway keeps: an intent before an upstream is called, an attempt when it ended, an operation per request.

Times are Unix nanoseconds in UTC; durations are seconds. Field names are the store's column names.
"""

from decimal import Decimal
from enum import StrEnum

from gateway.domain.fact import fact
from gateway.domain.ids import Account, Alias, AttemptId, RequestId, SpanId, TenantId, TierName, TraceId, UpstreamId
from gateway.domain.usage import NO_USAGE, Completeness, Usage


class Outcome(StrEnum):
    """How an attempt ended."""

    OK = "ok"
    ERROR = "error"
    """The upstream failed: a 4xx or 5xx, a lost connection, a broken stream."""
    TIMEOUT = "timeout"
    """The gateway hung up on the upstream."""
    CANCELLED = "cancelled"
    """The client hung up, so the gateway did; or another call answered first."""
    LOST = "lost"
    """The gateway died; the vendor may have billed it."""
    REFUSED = "refused"
    """Decided against before a byte was sent; never billable."""


@fact(frozen=True, kw_only=True)
class Intent:
    """What is known of an attempt before its first byte is sent; it is on disk before that byte.

    Without slots: the journal writes it as JSON, and of a dataclass with a dictionary that takes a third of the time.
    """

    attempt_id: AttemptId
    trace_id: TraceId
    span_id: SpanId
    parent_span_id: SpanId
    """The operation's span."""
    started_at: int
    tenant: TenantId
    alias: Alias
    tier: TierName
    request_id: RequestId
    upstream: UpstreamId
    provider: str
    account: Account
    region: str
    quantization: str
    pattern: str
    model: str
    """The model asked of the upstream."""
    attempt_index: int
    """0 for the first attempt of the operation, counting refused ones."""
    fallback_depth: int
    """0 on the alias's first choice; the rung's number on its ladder."""
    fallback_reason: str = ""
    """Why the attempt before this one did not do, or `hedge` beside one that runs; "" at depth 0."""
    estimated_cost_usd: Decimal | None = None
    """Estimated marginal cost of this attempt; None = no price known, or not estimated."""
    rate_card: str = ""
    """The card in force at the start; "" = none known."""
    session: str = ""
    """A hash, never the session's own name."""
    stream: bool = False
    request_bytes: int = 0
    max_output_tokens: int = 0
    """The most the answer could hold, all choices together; 0 = not known."""
    queue_seconds: float = 0.0
    operation_started_at: int = 0
    client_parent_span_id: str = ""
    """The span of the client that called us, where it sent a traceparent."""
    deployment: str = ""
    """Where the vendor may run the model: global, data-zone or regional; "" = not told."""
    server_address: str = ""
    server_port: int = 0
    operation: str = "chat"
    """OTel's gen_ai.operation.name: chat, text_completion or embeddings."""
    route: str = "/v1/chat/completions"
    """The client's route."""
    tool_format: str = ""
    """How the request offers tools: tools, functions, or "" for none."""
    cache_status: str = "off"
    """What the gateway's own cache said: hit, miss, off or bypass."""
    batch_window_ms: int = 0
    """The micro-batch window that gathered it; 0 = it was sent alone."""
    batch_size: int = 1
    """How many clients' requests the attempt carries."""
    memory_pressure: str = ""
    """Of a local host, when it was chosen: normal, warn or critical; "" = not known."""
    host: str = ""
    """The machine it runs on, where the operator names that; "" = a vendor's."""
    request_content: str = ""
    """The request's body, cut short, where the tier's logging policy keeps content."""


@fact(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of an upstream, ended; each is a thing a vendor may bill."""

    intent: Intent
    ended_at: int
    outcome: Outcome
    error_type: str = ""
    """A Reason; "" when the outcome is ok."""
    http_status: int = 0
    """The upstream's status; 0 = no answer."""
    usage: Usage = NO_USAGE
    completeness: Completeness = Completeness.UNKNOWN
    usage_raw: str = ""
    """The vendor's own usage JSON, as it came."""
    response_id: str = ""
    response_model: str = ""
    finish_reason: str = ""
    service_tier: str = ""
    """The processing tier the vendor says it used."""
    response_bytes: int = 0
    """What a host of the operator's sent of the answer's body; 0 also of a vendor's."""
    first_token_seconds: float | None = None
    """From the first byte sent to the first real token; None = none came."""
    answer_fault: str = ""
    """An AnswerFault: the answer has not the shape that was asked for; "" = none that is known."""
    breaker_transition: tuple[str, str, str] | None = None
    """(from, to, cause) when this attempt moved its breaker."""
    response_content: str = ""
    """The answer, cut short, where the tier's logging policy keeps content."""


@fact(frozen=True, slots=True, kw_only=True)
class Operation:
    """One client request: the parent of its attempts. Never billable."""

    trace_id: TraceId
    span_id: SpanId
    parent_span_id: str
    request_id: RequestId
    started_at: int
    ended_at: int
    tenant: TenantId
    alias: Alias
    tier: TierName
    session: str
    outcome: Outcome
    error_type: str
    http_status: int
    """The status the client was given; 0 = it hung up first."""
    attempts: int
    """How many attempts were made, the refused ones included."""
    fallback_depth: int
    """The depth that answered."""
    queue_seconds: float
    first_token_seconds: float | None
    stream: bool
    cache_status: str = "off"
    user_agent: str = ""
    operation: str = "chat"
    route: str = "/v1/chat/completions"
    tool_format: str = ""
    saved_usd: Decimal | None = None
    """What a cache hit saved, at the price of the attempt that filled the cache; None = no hit, or no price known."""
    shared_attempt_id: str = ""
    """The attempt of a micro-batch that answered this request along with others; "" = none."""
    shared_trace_id: str = ""
    shared_span_id: str = ""
    """That attempt's span, which this one's is linked to."""
    usage: Usage = NO_USAGE
    """Of a micro-batch, this request's own slice; of a cache hit, what was not spent. Never billable."""
    completeness: Completeness = Completeness.UNKNOWN


@fact(frozen=True, slots=True, kw_only=True)
class Transition:
    """A breaker that moved, or a region that browned out or recovered."""

    span_id: SpanId
    trace_id: TraceId
    """Of the request whose attempt moved it; a new one where no request did."""
    parent_span_id: str
    at: int
    tenant: TenantId
    alias: Alias
    tier: TierName
    upstream: UpstreamId
    """Empty for a region."""
    provider: str
    region: str
    scope: str
    """breaker or region."""
    before: str
    """closed, open or half_open."""
    after: str
    cause: str
    """A Reason, or what ended the rest: cooldown_over, answered, first_token, recovered."""
    failures: int = 0
    """The consecutive failures that led to it."""
    open_seconds: float | None = None
    """On a closing: from the first opening until now."""


class Verdict(StrEnum):
    """What a tenant says of an answer."""

    GOOD = "good"
    REDO = "redo"
    """It had to be made again."""
    BAD = "bad"
    """It was of no use."""


@fact(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What a tenant said of the answer to one of its requests."""

    span_id: SpanId
    trace_id: TraceId
    parent_span_id: SpanId
    """The request's operation."""
    at: int
    tenant: TenantId
    alias: Alias
    tier: TierName
    request_id: RequestId
    response_id: str = ""
    """The vendor's, where the answer was named by that."""
    verdict: Verdict
    reason: str = ""
    """A word of the tenant's own."""
    score: float | None = None
    """0 to 1."""
