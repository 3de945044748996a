"""Requests and tokens per minute, as token buckets. Plain state; `now` is any clock's seconds, as long as it is one.

A bucket holds a minute's worth and fills evenly. What is asked is taken from it before; what was used in truth is put
right after, so a bound is passed by no more than an estimate was wrong. Who asks for more than a minute's worth passes
when the bucket is full, and those after it wait until that is made up for.
"""

from typing import Literal, NamedTuple

MINUTE_S = 60.0
SLACK_S = 1e-6
"""Sums of floats are not exact; a microsecond of a minute is nobody's quota."""


class Spent(NamedTuple):
    """A quota that does not suffice now."""

    kind: Literal["requests", "tokens"]
    retry_in_s: float
    """When it would, if nobody took of it in between."""


class Bucket:
    """A minute's worth of something; a bucket of 0 has no bound. It knows only when it will be full again."""

    __slots__ = ("_full_at", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._full_at = float("-inf")

    def wait_s(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; 0 if it may be now."""
        if not self.per_minute:
            return 0.0
        asked_s = MINUTE_S * min(amount / self.per_minute, 1.0)
        wait_s = max(self._full_at - now, 0.0) + asked_s - MINUTE_S
        return wait_s if wait_s > SLACK_S else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take it, whether it is there or not."""
        if self.per_minute:
            self._full_at = max(self._full_at, now) + MINUTE_S * amount / self.per_minute

    def settle(self, taken: float, used: float, now: float) -> None:
        """So much was taken before, and so much was used: the rest goes back, or what is missing is taken."""
        if used > taken:
            self.take(used - taken, now)
        elif self.per_minute:
            self._full_at -= MINUTE_S * (taken - used) / self.per_minute


class Quota:
    """Requests and tokens per minute of one tenant, or of one upstream; 0 = no bound."""

    __slots__ = ("bounded", "counts_tokens", "requests", "tokens")

    bounded: bool
    """Whether it has any bound; without one there is nothing to take and nothing to settle."""
    counts_tokens: bool
    """Whether an estimate is of any use to it."""

    def __init__(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        self.requests = Bucket(0)
        self.tokens = Bucket(0)
        self.resize(requests_per_minute, tokens_per_minute)

    def resize(self, requests_per_minute: int, tokens_per_minute: int) -> None:
        """From now on these hold; the share of a minute that was taken stays taken."""
        self.requests.per_minute = requests_per_minute
        self.tokens.per_minute = tokens_per_minute
        self.counts_tokens = tokens_per_minute > 0
        self.bounded = self.counts_tokens or requests_per_minute > 0

    def spent(self, tokens: int, now: float) -> Spent | None:
        """What keeps a request of so many tokens from passing now: the one that lasts longer; None if nothing does."""
        for_requests, for_tokens = self.requests.wait_s(1, now), self.tokens.wait_s(tokens, now)
        if for_requests >= for_tokens:
            return Spent("requests", for_requests) if for_requests else None
        return Spent("tokens", for_tokens)

    def take(self, tokens: int, now: float) -> None:
        """One request, and the tokens it is expected to use."""
        self.requests.take(1, now)
        self.tokens.take(tokens, now)
