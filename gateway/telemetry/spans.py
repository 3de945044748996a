"""Attempts, operations and transitions as OTLP spans, in bytes: what the journal keeps and the shipper sends.

Each result is one whole ExportTraceServiceRequest (resource, scope, one span); results joined end to end are again one
valid request. An attempt is a CLIENT span, an operation a SERVER span, a transition an INTERNAL one. Nothing is
sampled: whatever `traceparent` a client sent, what ran is written down. Empty texts and zero counts are left out, but
`unknown` usage leaves out every token count, so that absent never reads as none.
"""

from functools import lru_cache
from struct import Struct

from gateway.domain import attributes as names
from gateway.domain.attempt import Attempt, Feedback, Intent, Operation, Outcome, Transition
from gateway.domain.usage import Completeness, Usage
from gateway.telemetry import moments
from gateway.telemetry.framing import framed
from gateway.telemetry.protobuf import Key, message, varint

SERVICE_NAME = "tollway-gateway"

_SERVER, _CLIENT = b"\x30\x02", b"\x30\x03"
_FAILED = b"\x7a\x02\x18\x02"
"""Status with code ERROR."""
_FAILURES = frozenset((Outcome.ERROR, Outcome.TIMEOUT, Outcome.LOST))
_EVENT_TIME = Struct("<cQ")
_ROUTES_MAX = 8192

_OPERATION_NAME, _PROVIDER, _MODEL = Key(names.OPERATION_NAME), Key(names.PROVIDER_NAME), Key(names.REQUEST_MODEL)
_STREAM, _MAX_TOKENS = Key(names.REQUEST_STREAM), Key(names.REQUEST_MAX_TOKENS)
_RESPONSE_MODEL, _RESPONSE_ID = Key(names.RESPONSE_MODEL), Key(names.RESPONSE_ID)
_FINISH, _FIRST_TOKEN = Key(names.RESPONSE_FINISH_REASONS), Key(names.RESPONSE_TIME_TO_FIRST_CHUNK)
_INPUT, _OUTPUT = Key(names.USAGE_INPUT_TOKENS), Key(names.USAGE_OUTPUT_TOKENS)
_CACHE_READ, _CACHE_WRITE = Key(names.USAGE_CACHE_READ), Key(names.USAGE_CACHE_WRITE)
_CACHE_WRITE_1H, _REASONING = Key(names.USAGE_CACHE_WRITE_1H), Key(names.USAGE_REASONING)
_COMPLETENESS, _USAGE_RAW = Key(names.USAGE_COMPLETENESS), Key(names.USAGE_RAW)
_ERROR, _HTTP_STATUS, _USER_AGENT = Key(names.ERROR_TYPE), Key(names.HTTP_STATUS), Key(names.USER_AGENT)
_ADDRESS, _PORT = Key(names.SERVER_ADDRESS), Key(names.SERVER_PORT)
_TENANT, _ALIAS, _TIER, _SESSION = Key(names.TENANT), Key(names.ALIAS), Key(names.TIER), Key(names.SESSION)
_REQUEST_ID, _REQUEST_BYTES = Key(names.REQUEST_ID), Key(names.REQUEST_BYTES)
_UPSTREAM, _ACCOUNT, _REGION = Key(names.UPSTREAM), Key(names.ACCOUNT), Key(names.REGION)
_DEPLOYMENT, _MODALITY = Key(names.DEPLOYMENT), Key(names.USAGE_MODALITY)
_QUANTIZATION, _PATTERN, _RATE_CARD = Key(names.QUANTIZATION), Key(names.PATTERN), Key(names.RATE_CARD)
_ATTEMPT_ID, _ATTEMPT_INDEX = Key(names.ATTEMPT_ID), Key(names.ATTEMPT_INDEX)
_OUTCOME, _ATTEMPTS = Key(names.ATTEMPT_OUTCOME), Key(names.ATTEMPTS)
_OPERATION_OUTCOME, _CACHE_STATUS = Key(names.OPERATION_OUTCOME), Key(names.CACHE_STATUS)
_DEPTH, _DEPTH_REASON = Key(names.FALLBACK_DEPTH), Key(names.FALLBACK_REASON)
_ESTIMATE, _QUEUE = Key(names.FALLBACK_ESTIMATED_COST), Key(names.QUEUE_SECONDS)
_ROUTE, _TOOL_FORMAT = Key(names.ROUTE), Key(names.TOOL_FORMAT)
_WINDOW, _BATCH_SIZE, _SHARED = Key(names.BATCH_WINDOW_MS), Key(names.BATCH_SIZE), Key(names.SHARED_ATTEMPT_ID)
_SAVED, _SERVICE_TIER, _MEMORY = Key(names.SAVED_USD), Key(names.SERVICE_TIER), Key(names.MEMORY_PRESSURE)
_HOST, _RESPONSE_BYTES, _ANSWER_FAULT = Key(names.HOST), Key(names.RESPONSE_BYTES), Key(names.ANSWER_FAULT)
_REQUEST_CONTENT, _RESPONSE_CONTENT = Key(names.REQUEST_CONTENT), Key(names.RESPONSE_CONTENT)
_BREAKER = tuple(Key(name, tag=0x1A) for name in (names.BREAKER_FROM, names.BREAKER_TO, names.BREAKER_CAUSE))


class SpanEncoder:
    """Writes the spans of one gateway process; stateless but for its name, so any thread may use it."""

    def __init__(self, instance: str) -> None:
        """`instance` becomes service.instance.id."""
        resource = Key("service.name", tag=0x0A).text(SERVICE_NAME)
        resource += Key("service.instance.id", tag=0x0A).text(instance)
        self._resource = message(0x0A, resource)
        self._scope = message(0x0A, message(0x0A, names.SCOPE.encode()))

    def attempt(self, attempt: Attempt) -> bytes:
        """The CLIENT span of an ended attempt."""
        return self._request(_attempt(attempt))

    def operation(self, operation: Operation) -> bytes:
        """The SERVER span of a client's request."""
        return self._request(_operation(operation))

    def transition(self, transition: Transition) -> bytes:
        """The INTERNAL span, without length, of a breaker or a region that moved."""
        return self._request(moments.of_transition(transition))

    def feedback(self, feedback: Feedback) -> bytes:
        """The INTERNAL span, without length, of what a tenant said of an answer."""
        return self._request(moments.of_feedback(feedback))

    def _request(self, span: bytes) -> bytes:
        span_size = varint(len(span))
        scope_size = len(self._scope) + 1 + len(span_size) + len(span)
        lead = self._resource + b"\x12" + varint(scope_size) + self._scope + b"\x12" + span_size
        return b"\x0a" + varint(len(lead) + len(span)) + lead + span


def _attempt(attempt: Attempt) -> bytes:
    intent = attempt.intent
    parts = [
        framed(intent.trace_id, intent.span_id, intent.parent_span_id, intent.started_at, attempt.ended_at),
        _route(
            intent.tenant,
            intent.alias,
            intent.tier,
            intent.upstream,
            intent.provider,
            intent.account,
            intent.region,
            intent.deployment,
            intent.quantization,
            intent.pattern,
            intent.model,
            intent.rate_card,
            intent.server_address,
            intent.server_port,
            intent.stream,
            intent.operation,
            intent.route,
        ),
        _ending(
            intent.attempt_index,
            intent.fallback_depth,
            intent.fallback_reason,
            attempt.outcome,
            attempt.error_type,
            attempt.http_status,
            attempt.completeness,
            intent.cache_status,
            intent.tool_format,
        ),
        _ATTEMPT_ID.text(intent.attempt_id),
        _REQUEST_ID.text(intent.request_id),
    ]
    _asked(parts, intent)
    _answered(parts, attempt)
    if attempt.usage_raw:
        parts.append(_USAGE_RAW.text(attempt.usage_raw))
    if attempt.completeness is not Completeness.UNKNOWN:
        _metered(parts, attempt.usage)
        if attempt.usage.modality:
            parts.append(_MODALITY.text(attempt.usage.modality))
    return b"".join(parts)


@lru_cache(maxsize=_ROUTES_MAX)
def _route(
    tenant: str,
    alias: str,
    tier: str,
    upstream: str,
    provider: str,
    account: str,
    region: str,
    deployment: str,
    quantization: str,
    pattern: str,
    model: str,
    rate_card: str,
    server_address: str,
    server_port: int,
    stream: bool,
    operation: str,
    route: str,
) -> bytes:
    """What attempts on one route share. It all comes from the configuration, so there are few, and they repeat."""
    texts = (
        (_PROVIDER, provider),
        (_MODEL, model),
        (_TENANT, tenant),
        (_ALIAS, alias),
        (_TIER, tier),
        (_UPSTREAM, upstream),
        (_ACCOUNT, account),
        (_REGION, region),
        (_DEPLOYMENT, deployment),
        (_QUANTIZATION, quantization),
        (_PATTERN, pattern),
        (_RATE_CARD, rate_card),
        (_ADDRESS, server_address),
        (_OPERATION_NAME, operation),
        (_ROUTE, route),
    )
    parts = [message(0x2A, f"{operation} {model}".encode("utf-8", "replace")), _CLIENT]
    parts += [key.text(value) for key, value in texts if value]
    if server_port:
        parts.append(_PORT.integer(server_port))
    if stream:
        parts.append(_STREAM.true())
    return b"".join(parts)


@lru_cache(maxsize=_ROUTES_MAX)
def _ending(
    attempt_index: int,
    fallback_depth: int,
    fallback_reason: str,
    outcome: Outcome,
    error_type: str,
    http_status: int,
    completeness: Completeness,
    cache_status: str,
    tool_format: str,
) -> bytes:
    """What attempts that ended alike share: all from closed lists."""
    parts = [_ATTEMPT_INDEX.integer(attempt_index), _DEPTH.integer(fallback_depth), _OUTCOME.text(outcome)]
    parts += [_COMPLETENESS.text(completeness), _CACHE_STATUS.text(cache_status)]
    texts = ((_DEPTH_REASON, fallback_reason), (_ERROR, error_type), (_TOOL_FORMAT, tool_format))
    parts += [key.text(value) for key, value in texts if value]
    if http_status:
        parts.append(_HTTP_STATUS.integer(http_status))
    if outcome in _FAILURES:
        parts.append(_FAILED)
    return b"".join(parts)


def _asked(parts: list[bytes], intent: Intent) -> None:
    if intent.session:
        parts.append(_SESSION.text(intent.session))
    if intent.request_bytes:
        parts.append(_REQUEST_BYTES.integer(intent.request_bytes))
    if intent.max_output_tokens:
        parts.append(_MAX_TOKENS.integer(intent.max_output_tokens))
    if intent.queue_seconds:
        parts.append(_QUEUE.double(intent.queue_seconds))
    if intent.estimated_cost_usd is not None:
        parts.append(_ESTIMATE.text(f"{intent.estimated_cost_usd:f}"))
    if intent.batch_window_ms:
        parts.append(_WINDOW.integer(intent.batch_window_ms))
    if intent.batch_size != 1:
        parts.append(_BATCH_SIZE.integer(intent.batch_size))
    if intent.memory_pressure:
        parts.append(_MEMORY.text(intent.memory_pressure))
    if intent.host:
        parts.append(_HOST.text(intent.host))
    if intent.request_content:
        parts.append(_REQUEST_CONTENT.text(intent.request_content))


def _answered(parts: list[bytes], attempt: Attempt) -> None:
    if attempt.response_id:
        parts.append(_RESPONSE_ID.text(attempt.response_id))
    if attempt.response_model:
        parts.append(_RESPONSE_MODEL.text(attempt.response_model))
    if attempt.finish_reason:
        parts.append(_finish(attempt.finish_reason))
    if attempt.first_token_seconds is not None:
        parts.append(_FIRST_TOKEN.double(attempt.first_token_seconds))
    if attempt.service_tier:
        parts.append(_SERVICE_TIER.text(attempt.service_tier))
    if attempt.response_bytes:
        parts.append(_RESPONSE_BYTES.integer(attempt.response_bytes))
    if attempt.answer_fault:
        parts.append(_ANSWER_FAULT.text(attempt.answer_fault))
    if attempt.response_content:
        parts.append(_RESPONSE_CONTENT.text(attempt.response_content))
    if attempt.breaker_transition:
        texts = zip(_BREAKER, attempt.breaker_transition, strict=True)
        body = _EVENT_TIME.pack(b"\x09", attempt.ended_at) + message(0x12, names.BREAKER_TRANSITION.encode())
        parts.append(message(0x5A, body + b"".join([key.text(value) for key, value in texts])))


@lru_cache(maxsize=256)
def _finish(reason: str) -> bytes:
    return _FINISH.texts(reason)


def _metered(parts: list[bytes], usage: Usage) -> None:
    parts.append(_INPUT.integer(usage.input_total))
    parts.append(_OUTPUT.integer(usage.output_total))
    if usage.cache_read:
        parts.append(_CACHE_READ.integer(usage.cache_read))
    if usage.cache_write:
        parts.append(_CACHE_WRITE.integer(usage.cache_write))
    if usage.cache_write_1h:
        parts.append(_CACHE_WRITE_1H.integer(usage.cache_write_1h))
    if usage.reasoning:
        parts.append(_REASONING.integer(usage.reasoning))


def _operation(operation: Operation) -> bytes:
    parts = [
        framed(
            operation.trace_id,
            operation.span_id,
            operation.parent_span_id,
            operation.started_at,
            operation.ended_at,
        ),
        _service(
            operation.tenant,
            operation.tier,
            operation.outcome,
            operation.error_type,
            operation.http_status,
            operation.attempts,
            operation.fallback_depth,
            operation.cache_status,
            operation.stream,
            operation.operation,
            operation.route,
            operation.tool_format,
        ),
        # Not among the shared: a caller may have asked for an alias that does not exist, of any length.
        message(0x2A, f"{operation.operation} {operation.alias}".encode("utf-8", "replace")),
        _REQUEST_ID.text(operation.request_id),
    ]
    if operation.alias:
        parts.append(_ALIAS.text(operation.alias))
    if operation.session:
        parts.append(_SESSION.text(operation.session))
    if operation.user_agent:
        parts.append(_USER_AGENT.text(operation.user_agent))
    if operation.queue_seconds:
        parts.append(_QUEUE.double(operation.queue_seconds))
    if operation.first_token_seconds is not None:
        parts.append(_FIRST_TOKEN.double(operation.first_token_seconds))
    if operation.saved_usd is not None:
        parts.append(_SAVED.text(f"{operation.saved_usd:f}"))
    if operation.shared_attempt_id:
        parts.append(_SHARED.text(operation.shared_attempt_id))
    if operation.shared_span_id:
        trace, span = bytes.fromhex(operation.shared_trace_id), bytes.fromhex(operation.shared_span_id)
        parts.append(message(0x6A, b"\x0a\x10" + trace + b"\x12\x08" + span))  # A Span.Link.
    if operation.completeness is not Completeness.UNKNOWN:
        parts.append(_COMPLETENESS.text(operation.completeness))
        _metered(parts, operation.usage)
    return b"".join(parts)


@lru_cache(maxsize=_ROUTES_MAX)
def _service(
    tenant: str,
    tier: str,
    outcome: Outcome,
    error_type: str,
    http_status: int,
    attempts: int,
    fallback_depth: int,
    cache_status: str,
    stream: bool,
    operation: str,
    route: str,
    tool_format: str,
) -> bytes:
    """What operations that were served alike share."""
    parts = [_SERVER]
    parts += [_OPERATION_OUTCOME.text(outcome), _ATTEMPTS.integer(attempts), _DEPTH.integer(fallback_depth)]
    parts.append(_CACHE_STATUS.text(cache_status))
    texts = (
        (_TENANT, tenant),
        (_TIER, tier),
        (_ERROR, error_type),
        (_OPERATION_NAME, operation),
        (_ROUTE, route),
        (_TOOL_FORMAT, tool_format),
    )
    parts += [key.text(value) for key, value in texts if value]
    if http_status:
        parts.append(_HTTP_STATUS.integer(http_status))
    if stream:
        parts.append(_STREAM.true())
    if outcome in _FAILURES:
        parts.append(_FAILED)
    return b"".join(parts)
