"""What a request must pass before a slot and before a call: its tier's wish for streams, its tenant's quota and every
upstream's limits, which are told when a call begins and ends.

Tokens are the prompt's, by the alias's learned bytes per token, and the answer's, by its mean length; where a tenant
and an upstream bound no tokens, none are estimated.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.config import RoutingConfig
from gateway.domain.attempt import Attempt, Intent, Outcome
from gateway.domain.usage import Completeness
from gateway.errors import QuotaExhausted, StreamingRequired
from gateway.ladder.estimate import Forecast
from gateway.limits.quota import Quota
from gateway.limits.upstream import UpstreamLimits
from gateway.limits.vendor_headers import spent_for_s
from gateway.metrics import gauge
from gateway.pools.pool import Pool
from gateway.wire.body import ModelRequest
from gateway.wire.kinds import Kind


class Throttle:
    """One process's."""

    def __init__(self, config: RoutingConfig, forecasts: Mapping[str, Forecast]) -> None:
        self.refusals = {"requests": 0, "tokens": 0}
        self._quotas: dict[str, Quota] = {}
        self._upstreams: dict[str, UpstreamLimits] = {}
        self.follow(config, forecasts)

    def follow(self, config: RoutingConfig, forecasts: Mapping[str, Forecast]) -> None:
        """From now on that configuration's bounds hold; what was taken stays taken, and calls under way are counted."""
        self._forecasts = forecasts
        tenants = [t for t in config.tenants.values() if t.requests_per_minute or t.tokens_per_minute]
        self._quotas = {tenant.name: self._quotas.get(tenant.name, Quota(0, 0)) for tenant in tenants}
        for tenant in tenants:
            self._quotas[tenant.name].resize(tenant.requests_per_minute, tenant.tokens_per_minute)
        self._upstreams = {n: u for n, u in self._upstreams.items() if u.inflight or n in config.upstreams}
        for name, limits in self._upstreams.items():
            if name not in config.upstreams:
                limits.resize(0, 0, 0)
        for up in config.upstreams.values():
            self.limits_of(up.name).resize(up.max_inflight, up.requests_per_minute, up.tokens_per_minute)

    # A tenant's quota: asked once for a request, charged for each of its calls

    def quota_of(self, tenant: str) -> Quota | None:
        """The tenant's, or None where nothing bounds it."""
        return self._quotas.get(tenant)

    def admit(self, quota: Quota, tokens: int, now: float) -> None:
        """Let one request of so many tokens pass. Raises QuotaExhausted, with the time after which it would."""
        spent = quota.spent(tokens, now)
        if spent is not None:
            self.refusals[spent.kind] += 1
            message = f"Your {spent.kind} per minute are spent. Retry later, or send fewer."
            raise QuotaExhausted(message, retry_after_s=max(1, math.ceil(spent.retry_in_s)))
        quota.take(tokens, now)

    # An upstream's limits

    def limits_of(self, upstream: str) -> UpstreamLimits:
        """That upstream's; without bounds, for one that only requests from before a reload know."""
        limits = self._upstreams.get(upstream)
        if limits is None:
            limits = self._upstreams[upstream] = UpstreamLimits()
        return limits

    def begin(self, intent: Intent, now: float) -> int:
        """That call is to be made; `end` must follow, whatever becomes of it, with what this returns."""
        limits = self.limits_of(intent.upstream)
        tokens = self._expected(intent) if limits.quota.counts_tokens else 0
        limits.begin(tokens, now)
        return tokens

    def heed(self, intent: Intent, named: Mapping[bytes, bytes], now: float) -> None:
        """What the vendor's headers say of what is left."""
        for_s = spent_for_s(named)
        if for_s is not None:
            self.limits_of(intent.upstream).heed(intent.model, for_s, now)

    def end(self, attempt: Attempt, expected: int, held_s: float, now: float) -> None:
        """That call has ended, having held its place for `held_s` seconds."""
        intent = attempt.intent
        limits, quota = self.limits_of(intent.upstream), self._quotas.get(intent.tenant)
        charged = quota is not None and quota.counts_tokens
        used = self._used(attempt) if charged or limits.quota.counts_tokens else 0
        limits.end(expected, used, held_s, now)
        if quota is not None:
            quota.tokens.take(used, now)

    def metrics(self) -> Iterator[Metric]:
        """What Prometheus reads."""
        inflight = (((name,), limits.inflight) for name, limits in self._upstreams.items())
        yield gauge("tollway_upstream_inflight", "Calls under way.", ("upstream",), inflight)
        refusals = CounterMetricFamily(
            "tollway_quota_refusals", "Requests refused by their tenant's quota.", labels=("kind",)
        )
        for kind, count in self.refusals.items():
            refusals.add_metric((kind,), count)
        yield refusals

    def _expected(self, intent: Intent) -> int:
        forecast = self._forecasts.get(intent.alias) or Forecast()
        return forecast.tokens(intent.request_bytes, intent.max_output_tokens)

    def _used(self, attempt: Attempt) -> int:
        """The tokens of a call that has ended: as its vendor counted them; else none where it did not get so far, and
        what was expected where it did."""
        if attempt.completeness is not Completeness.UNKNOWN:
            return attempt.usage.input_total + attempt.usage.output_total
        if attempt.outcome is Outcome.REFUSED or attempt.http_status >= 400:
            return 0
        return self._expected(attempt.intent)


def soonest(waits: Iterable[float]) -> int:
    """Whole seconds until the first of these is over, for Retry-After."""
    return max(1, math.ceil(min(waits, default=1.0)))


def check_streams(request: ModelRequest, pool: Pool) -> None:
    """Raise StreamingRequired for a request that does not stream and could."""
    if not request.stream and request.kind is not Kind.EMBEDDINGS:
        pool.count_refusal(StreamingRequired.code)
        message = f"The tier {pool.tier.name!r} takes only requests that stream: set `stream` to true."
        raise StreamingRequired(message, param="stream")
