"""What is written down of one request: the facts its intents, its attempts and its operation have in common."""

from collections.abc import Sequence
from copy import copy

from gateway.cache.store import Entry
from gateway.cache.template import Stable
from gateway.catalogue import Route
from gateway.domain import clock
from gateway.domain.attempt import Intent, Operation, Outcome
from gateway.domain.ids import (
    Account,
    Alias,
    SpanId,
    TenantId,
    TierName,
    UpstreamId,
    attempt_id,
    new_span_id,
)
from gateway.domain.rate_card import RateCard, processing_tier
from gateway.domain.reasons import Reason
from gateway.domain.usage import NO_USAGE, Completeness
from gateway.flow.content import keeps_callers
from gateway.flow.plane import Plane
from gateway.flow.trial import Trial
from gateway.ladder.estimate import Forecast, asked_in, text_bytes
from gateway.ladder.ladder import NO_QUOTE, Quote, Rung
from gateway.pools.slots import Claim
from gateway.relay.relay import text
from gateway.upstream.endpoint import Endpoint
from gateway.wire.arrival import Arrival
from gateway.wire.body import ModelRequest
from gateway.wire.kinds import Kind

CHOICES_MAX = 128
"""No vendor gives more choices than this for one prompt."""


class RequestRecord:
    """One request's identity and timing. `route` and `request` are set once they are known."""

    route: Route
    request: ModelRequest

    def __init__(self, plane: Plane, arrival: Arrival) -> None:
        self._plane = plane
        self._arrival = arrival
        self.tenant = TenantId(arrival.tenant.name)
        """Whose request it is."""
        self.began = clock.monotonic()
        self.trace_id, self._client_span = arrival.trace()
        self._span_id: SpanId = new_span_id()
        self.request_id = arrival.request_id(self.trace_id, self._span_id)
        self.session = arrival.session()
        self.attempts = 0
        self.sent_again: Reason | None = None
        """Why its first attempt is not the first that was made for it."""
        self.batch_window_ms = 0
        self.batch_size = 1
        self.queue_s = 0.0
        self.cache_status = "off"
        """What the answer cache said: hit, miss, off or bypass."""
        self.hit: Entry | None = None
        """The kept answer that the client was given."""
        self.stable: Stable | None = None
        """What of the prompt was seen before, where that is of use to a vendor's cache."""

    def intent(
        self, rung: Rung, because: Reason | None, quote: Quote, request_bytes: int, at: Endpoint | None = None
    ) -> Intent:
        """The intent of the next attempt, `at` that one of its upstream's hosts; None = the first."""
        endpoint = at or self._plane.upstreams[rung.upstream].endpoint
        upstream, card = endpoint.upstream, self.card(rung)
        index, self.attempts = self.attempts, self.attempts + 1
        span_id = new_span_id()
        return Intent(
            attempt_id=attempt_id(self.trace_id, span_id),
            trace_id=self.trace_id,
            span_id=span_id,
            parent_span_id=self._span_id,
            started_at=self._unix_nanos(clock.monotonic()),
            tenant=self.tenant,
            alias=Alias(self.route.alias.name),
            tier=TierName(self.route.tier.name),
            request_id=self.request_id,
            upstream=UpstreamId(upstream.name),
            provider=upstream.provider,
            account=Account(upstream.account),
            region=upstream.region,
            deployment=upstream.deployment,
            quantization=upstream.quantization,
            pattern=upstream.pattern,
            model=rung.model,
            attempt_index=index,
            fallback_depth=rung.depth,
            fallback_reason=because or self.sent_again or "",
            estimated_cost_usd=quote.expected_usd,
            rate_card=card.card_id if card else "",
            session=self.session if keeps_callers(self.route.tier) else "",
            stream=self.request.stream,
            request_bytes=request_bytes,
            max_output_tokens=self._output_tokens_max(),
            queue_seconds=self.queue_s,
            operation_started_at=self._arrival.started_at,
            client_parent_span_id=self._client_span,
            server_address=endpoint.host,
            server_port=endpoint.port,
            operation=self.request.kind.operation,
            route=self.request.kind.route,
            tool_format=self.request.tool_format,
            cache_status=self.cache_status,
            batch_window_ms=self.batch_window_ms,
            batch_size=self.batch_size,
            host=self._plane.host_names.get((upstream.name, upstream.base_url), ""),
        )

    def for_batch(self, request: ModelRequest, members: Sequence["RequestRecord"], window_ms: int) -> "RequestRecord":
        """The record of the one call that `request` makes for all `members`, of whom this is the first: its attempts
        are below this operation, and of this session only if it is everyone's."""
        shared = copy(self)
        shared.request, shared.batch_size, shared.batch_window_ms = request, len(members), window_ms
        if any(member.session != self.session for member in members):
            shared.session = ""
        return shared

    def continues(self, shared: "RequestRecord") -> None:
        """Count on from the attempts that were made for the batch."""
        self.attempts = shared.attempts

    def operation(self, outcome: Outcome, reason: Reason | None, status: int, trial: Trial | None) -> Operation:
        """The whole request, now that it has ended. `trial` is the last that was made."""
        hit, called = self.hit, keeps_callers(self.route.tier)
        return Operation(
            trace_id=self.trace_id,
            span_id=self._span_id,
            parent_span_id=self._client_span,
            request_id=self.request_id,
            started_at=self._arrival.started_at,
            ended_at=self._unix_nanos(clock.monotonic()),
            tenant=self.tenant,
            alias=Alias(self.route.alias.name),
            tier=TierName(self.route.tier.name),
            session=self.session if called else "",
            outcome=outcome,
            error_type=reason or "",
            http_status=status,
            attempts=self.attempts,
            fallback_depth=trial.intent.fallback_depth if trial else 0,
            queue_seconds=self.queue_s,
            first_token_seconds=trial.first_token_s if trial else None,
            stream=self.request.stream,
            user_agent=self._arrival.user_agent() if called else "",
            operation=self.request.kind.operation,
            route=self.request.kind.route,
            tool_format=self.request.tool_format,
            cache_status=self.cache_status,
            saved_usd=hit.cost_usd if hit is not None else None,
            usage=hit.usage if hit is not None else NO_USAGE,
            completeness=hit.completeness if hit is not None else Completeness.UNKNOWN,
        )

    def claim(self) -> Claim:
        """What it would take of its tier's pool."""
        tenant, alias, tokens = self._arrival.tenant, self.route.alias, 0
        if self.route.tier.max_tokens_inflight:
            forecast = self._plane.forecasts[alias.name]
            tokens = forecast.prompt_tokens(len(self.request.body)) + self._output_tokens_max()
        return Claim(tenant.name, tenant.weight, self.session, alias.name, alias.max_inflight, tokens)

    def expected_tokens(self) -> int:
        """Prompt and answer together, as its alias's answers so far let expect."""
        forecast = self._plane.forecasts[self.route.alias.name]
        return forecast.tokens(len(self.request.body), self._output_tokens_max())

    def busy_s(self, rung: Rung) -> float | None:
        """None if the rung's upstream has room for it now; else the seconds until it may."""
        limits = self._plane.throttle.limits_of(rung.upstream)
        return limits.busy_s(rung.model, self.expected_tokens, clock.monotonic()) if limits.guarded else None

    def quote(self, rung: Rung) -> Quote:
        """What calling that rung would cost, expected and at worst, in the processing tier that the request names."""
        forecast = self._plane.forecasts[self.route.alias.name]
        default = self._quote(forecast, rung, "")
        tier = processing_tier(text(self.request.fields.get("service_tier")))
        return asked_in(tier, self._quote(forecast, rung, tier), default) if tier else default

    def _quote(self, forecast: Forecast, rung: Rung, tier: str) -> Quote:
        """By the card for a prompt as long as is expected, and at worst the longest prompt's if that is dearer."""
        size, most = len(self.request.body), self._output_tokens_max()
        if not self._plane.config.rate_cards.told_by_answers:
            return forecast.quote(self.card(rung, tier), size, most)
        expected = forecast.quote(self.card(rung, tier, forecast.prompt_tokens(size)), size, most)
        longest = forecast.quote(self.card(rung, tier, forecast.prompt_tokens_worst(size)), size, most)
        if expected.worst_usd is None or longest.worst_usd is None:
            return NO_QUOTE
        return Quote(expected.expected_usd, max(expected.worst_usd, longest.worst_usd))

    def prompt_tokens(self, window: int) -> int:
        """How long the prompt is, guessed; where by all its bytes it were longer than `window`, by its text alone."""
        forecast, request = self._plane.forecasts[self.route.alias.name], self.request
        guess = forecast.prompt_tokens(len(request.body))
        return guess if guess <= window else forecast.prompt_tokens(text_bytes(request.fields))

    def card(self, rung: Rung, tier: str = "", prompt_tokens: int = 0) -> RateCard | None:
        """The card in force for that rung in that processing tier; "" = the default one."""
        return self._plane.card_of(rung.upstream, rung.model, tier, prompt_tokens)

    def _output_tokens_max(self) -> int:
        """The most the answer can hold, all choices together. What a client asks beyond the alias does not count."""
        request, most = self.request, self.route.alias.max_output_tokens
        if request.kind is Kind.EMBEDDINGS:
            return 0
        choices = min(max(request.choices, request.best_of, 1), CHOICES_MAX) * request.inputs
        return min(request.max_output_tokens or most, most) * choices

    def _unix_nanos(self, now: float) -> int:
        """An instant of the steady clock as a stamp: spans of one request never run backwards."""
        return self._arrival.started_at + round((now - self.began) * 1e9)
