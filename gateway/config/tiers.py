"""Tiers: pools of concurrency with their own queue, patience, promises and policies. Durations are in seconds."""

from decimal import Decimal
from functools import cached_property
from typing import Literal

from pydantic import Field, model_validator

from gateway.config.section import Name, NameList, Section


class Sla(Section):
    """What a tier promises. None = no promise of that kind."""

    max_queue_seconds: float | None = Field(default=None, ge=0)
    error_budget: float | None = Field(default=None, gt=0, lt=1)
    """The share of requests that may fail."""
    p95_first_token_s: float | None = Field(default=None, gt=0)
    consecutive_failures: int | None = Field(default=None, ge=1)
    """Overrides breaker.consecutive_failures for this tier's requests."""
    recovery_s: float | None = Field(default=None, gt=0)
    """From a region's first breaker opening to its last closing."""


class Fuse(Section):
    """Bounds on one session, against agents that loop. 0 or None = no bound of that kind."""

    window_s: float = Field(default=600, gt=0, le=86_400)
    same_tool_calls: int = Field(default=0, ge=0)
    """The same tool with the same arguments, so many times in the window."""
    calls: int = Field(default=0, ge=0)
    """Requests in the window."""
    tokens: int = Field(default=0, ge=0)
    """Of its requests in the window, prompts and answers."""
    usd: Decimal | None = Field(default=None, ge=0)

    @cached_property
    def armed(self) -> bool:
        """Whether there is any bound."""
        return bool(self.same_tool_calls or self.calls or self.tokens or self.usd)


class Tier(Section):
    """A pool of concurrency with its own queue and its own patience."""

    name: Name
    max_inflight: int = Field(ge=1, le=100_000)
    max_queue: int = Field(default=0, ge=0, le=1_000_000)
    max_queue_seconds: float = Field(default=2, ge=0, le=3600)
    max_inflight_per_tenant: int = Field(default=0, ge=0)
    """0 = no bound but the tier's."""
    max_inflight_per_session: int = Field(default=0, ge=0)
    max_tokens_inflight: int = Field(default=0, ge=0)
    """Prompt and longest answer of all requests under way, estimated; 0 = no bound. One request alone always passes."""
    reserved_share: float = Field(default=0, ge=0, le=0.9)
    """The share of the slots that a tenant already holding its own fair share (by weight) may not take."""
    first_token_timeout_s: float = Field(default=30, gt=0, le=3600)
    answer_timeout_s: float | None = Field(default=None, gt=0, le=86_400)
    """How long one attempt may take for a whole answer before the next rung is tried; None = the total timeout."""
    total_timeout_s: float = Field(default=600, gt=0, le=86_400)
    retries: int = Field(default=0, ge=0, le=10)
    """How often one rung is tried again before the next one."""
    max_attempts: int = Field(default=8, ge=1, le=32)
    """Retries, rungs and the hedge of one request together."""
    hedge_after_s: float | None = Field(default=None, gt=0, le=86_400)
    """A call without a token, or without its whole answer, for so long has the next rung started beside it; None =
    never."""
    micro_batch_ms: int = Field(default=0, ge=0, le=60_000)
    """How long equal requests are gathered into one upstream call; 0 = not at all."""
    max_batch_tokens: int = Field(default=0, ge=0)
    """A batch is sent when it holds this many prompt tokens, estimated; 0 = only when its time is over."""
    cancel_rule: Literal["cancel", "finish"] = "cancel"
    """What becomes of a batched call when callers leave: hung up on when all have left, or finished in any case."""
    sla: Sla = Sla()
    fuse: Fuse = Fuse()
    queue_second_usd: Decimal = Field(default=Decimal(0), ge=0, le=10**6, decimal_places=12)
    """What a second in line is worth to who waits: an economic cost, never billed."""
    streaming_required: bool = False
    """Refuse requests that do not stream."""
    residency: NameList = ()
    """The regions whose upstreams may be used, on any rung; none listed = all."""
    logging: Literal["none", "metadata", "content"] = "metadata"
    """none: no session, no user agent; content: prompts and answers too, each cut at 32 KiB."""
    cache_allowed: tuple[Literal["exact", "template"], ...] = ("exact", "template")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "Tier":
        if self.max_inflight_per_tenant > self.max_inflight:
            raise ValueError("max_inflight_per_tenant is more than max_inflight")
        if self.max_inflight_per_session > self.max_inflight:
            raise ValueError("max_inflight_per_session is more than max_inflight")
        if self.hedge_after_s is not None and self.hedge_after_s >= self.total_timeout_s:
            raise ValueError("hedge_after_s is not less than total_timeout_s, so nothing would ever be hedged")
        if self.micro_batch_ms and not self.max_queue:
            raise ValueError("micro_batch_ms gathers requests in the tier's queue, but max_queue is 0; give it room")
        return self
