"""What one request may still spend: its own bound on extra spend, its tenant's month, and the fallbacks' month.

A request of a tenant without bounds that needs no fallback has none of this looked at.
"""

from collections.abc import Callable
from decimal import Decimal

from gateway.budgets.keeper import Bound, BudgetKeeper, Hold, MonthBound, renewal
from gateway.control.database import ControlUnavailable
from gateway.domain import clock
from gateway.domain.money import plain
from gateway.domain.rate_card import RateCard
from gateway.errors import BudgetExhausted, BudgetUnavailable, GatewayError
from gateway.ladder.ladder import NO_QUOTE, Funds, Quote, Send

NOTHING = Decimal(0)


class Purse:
    """One request's."""

    __slots__ = ("_extras", "_keeper", "_own", "_unavailable", "_whole")

    def __init__(self, keeper: BudgetKeeper, tenant: str) -> None:
        self._keeper = keeper
        self._whole, self._extras = keeper.names_of(tenant)
        self._own: Bound | None = None
        """The request's own bound on extra spend; made when the first is reserved."""
        self._unavailable = False

    @property
    def unbound(self) -> bool:
        """Nothing bounds it, and it has needed no fallback."""
        return self._own is None and self._whole is None and not self._extras

    def funds(self) -> Funds:
        """What its bounds have left."""
        keeper = self._keeper
        if self.unbound:
            return keeper.unbound
        if self._unavailable:
            return Funds(NOTHING, NOTHING)
        extra = keeper.request_extra_usd if self._own is None else self._own.account.left_usd
        for name in self._extras:
            extra = min(extra, keeper.bound(name).left_usd)
        return Funds(extra, None if self._whole is None else keeper.bound(self._whole).left_usd)

    def hold(self, move: Send, card: RateCard | None) -> Hold | None:
        """Reserve the move's worst case on every bound it falls under; None if one needs a lease first."""
        usd = move.quote.worst_usd or NOTHING
        months = self._months(move)
        if any(bound.account.left_usd < usd for bound in months):
            return None
        bounds: tuple[Bound, ...] = months
        if move.extra:
            if self._own is None:
                self._own = Bound(self._keeper.request_extra_usd)
            bounds = (*months, self._own)
        for bound in bounds:
            bound.account = bound.account.reserve(usd) or bound.account
        return Hold(usd, bounds, card)

    async def lease(self, move: Send) -> None:
        """Lease what the move needs; where the months' bounds cannot be asked, nothing under them can be spent."""
        try:
            for bound in self._months(move):
                await self._keeper.lease(bound, move.quote.worst_usd or NOTHING)
        except ControlUnavailable:
            self._unavailable = True

    async def check(self, quote: Callable[[], Quote]) -> None:
        """See that the tenant's month could pay for that at worst, without reserving it; `quote` is asked where a bound
        is to be kept. Raises BudgetExhausted, BudgetUnavailable."""
        if self._whole is None:
            return
        try:
            bound = await self._keeper.read_again(self._whole)
        except ControlUnavailable:
            self._unavailable = True
            raise self.refusal(NO_QUOTE) from None
        asked = quote()
        if asked.worst_usd is None or asked.worst_usd > bound.left_usd:
            raise self.refusal(asked, "a shorter file costs less")

    def refusal(self, quote: Quote, way_out: str = "a smaller max_tokens costs less") -> GatewayError:
        """Why the first choice cannot be paid for, in the words of its tenant's own budget."""
        if self._unavailable:
            return BudgetUnavailable("Your budget cannot be checked at present. Retry later.", retry_after_s=5)
        if quote.worst_usd is None:
            message = (
                "No price is known for this model and processing tier, so it cannot be used under a monthly budget."
            )
            return BudgetExhausted(message, param="model")
        bound = self._keeper.bound(self._whole or "")
        now = clock.utc_now()
        return BudgetExhausted(
            f"Your budget of ${plain(bound.limit_usd)} for {bound.month} has ${plain(bound.left_usd)} left, and this "
            f"request could cost ${plain(quote.worst_usd)}. It renews at {renewal(now):%Y-%m-%dT%H:%M:%SZ}; "
            f"{way_out}."
        )

    def _months(self, move: Send) -> tuple[MonthBound, ...]:
        names = (*self._extras, self._whole) if move.extra else (self._whole,)
        return tuple(self._keeper.bound(name) for name in names if name is not None)
