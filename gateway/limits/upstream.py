"""What one upstream's key may carry: calls at once, requests and tokens per minute, and what its vendor's headers say.

Plain state with `now` passed in. A call counts from the decision to make it until it has ended, however it ends.
A vendor's word on what is left holds for the model that it answered for, since that is how vendors count.
"""

from collections.abc import Callable

from gateway.limits.quota import Quota

SMOOTHING = 0.1
"""How much the last call weighs in the running mean of how long one lasts."""


class UpstreamLimits:
    """One upstream's."""

    __slots__ = ("_held_s_mean", "_spent_until", "guarded", "inflight", "max_inflight", "quota")

    guarded: bool
    """Whether anything could make it busy."""

    def __init__(self, max_inflight: int = 0, requests_per_minute: int = 0, tokens_per_minute: int = 0) -> None:
        self.inflight = 0
        self.quota = Quota(0, 0)
        self._held_s_mean = 1.0
        self._spent_until: dict[str, float] = {}
        self.resize(max_inflight, requests_per_minute, tokens_per_minute)

    def resize(self, max_inflight: int, requests_per_minute: int, tokens_per_minute: int) -> None:
        """From now on these hold (0 = no bound); calls under way go on."""
        self.max_inflight = max_inflight
        self.quota.resize(requests_per_minute, tokens_per_minute)
        self._guard()

    def busy_s(self, model: str, expected_tokens: Callable[[], int], now: float) -> float | None:
        """None if a call may be made now; else, at a guess, the seconds until it may. `expected_tokens` is asked only
        where tokens are bounded."""
        tokens = expected_tokens() if self.quota.counts_tokens else 0
        waits = [self._spent_until.get(model, now) - now]
        if self.max_inflight and self.inflight >= self.max_inflight:
            waits.append(self._held_s_mean / self.max_inflight)
        if (spent := self.quota.spent(tokens, now)) is not None:
            waits.append(spent.retry_in_s)
        longest = max(waits)
        return longest if longest > 0 else None

    def begin(self, tokens: int, now: float) -> None:
        """A call is to be made that is expected to use so many tokens."""
        self.inflight += 1
        if self.quota.bounded:
            self.quota.take(tokens, now)

    def end(self, expected: int, used: int, held_s: float, now: float) -> None:
        """It has ended after `held_s` seconds, and used so many."""
        self.inflight -= 1
        self._held_s_mean += SMOOTHING * (held_s - self._held_s_mean)
        if self.quota.bounded:
            self.quota.tokens.settle(expected, used, now)

    def heed(self, model: str, for_s: float, now: float) -> None:
        """The vendor says that nothing is left for `model` for so many seconds."""
        self._spent_until = {name: until for name, until in self._spent_until.items() if until > now}
        self._spent_until[model] = max(self._spent_until.get(model, 0.0), now + for_s)
        self._guard()

    def _guard(self) -> None:
        self.guarded = bool(self.max_inflight or self.quota.bounded or self._spent_until)
