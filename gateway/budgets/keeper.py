"""Keeps the accounts of every bound on a month's spend, in memory for speed and in the control database for keeps.

A process does not write to the disk for each call. It leases a part of the month's limit from the database, one commit
on the disk, and spends from that; when too little is left it leases more, and what lies idle is given back after a
second, all of it at the end. The database counts every lease as used. So after a crash the month's total can only be
too high: by what was reserved for calls under way, which vendors may bill, or that ended in the last second, and by an
unspent rest of at most 2% of the limit; and several processes on one database never admit more than the limit together.
(Writing each reservation ahead would overstate less, at a commit per call: 5 ms, where this costs one in many calls.)

What a call costs is settled when it ends. Its worst case stays reserved for the month where the vendor may bill what we
cannot see: it was sent, was not refused with a 4xx or 5xx, and its final usage did not arrive or has no price.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from functools import partial

from prometheus_client.core import GaugeMetricFamily

from gateway.budgets.accounts import ZERO, Account
from gateway.budgets.spent import spent_usd
from gateway.config import RoutingConfig
from gateway.control import spend
from gateway.control.database import ControlUnavailable, Database
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.ids import AttemptId
from gateway.domain.money import plain
from gateway.domain.rate_card import RateBook, RateCard, Unpriced, price, processing_tier
from gateway.domain.usage import Completeness
from gateway.flow.tasks import Tasks
from gateway.ladder.ladder import Funds

logger = logging.getLogger(__name__)

SLACK_PARTS = 100
"""Of the limit, at most one such part is leased beyond what is needed now; twice as much is tidied away."""
CALLS_AHEAD = 8
"""So many calls' worst cases are leased at once, if that is less than SLACK_PARTS allows."""
STEPS = 1000
"""And at least one such part of the limit, so that small calls do not lease often."""
TIDY_S = 1.0

EXTRA = "extra"
"""The bound on all tenants' fallbacks."""
NO_CARDS = RateBook()
NO_NAMES: tuple[str | None, tuple[str, ...]] = (None, ())


class Bound:
    """An account that a call may draw on; of one request, unless it is a month's."""

    def __init__(self, limit_usd: Decimal) -> None:
        self.account = Account(limit_usd)


class MonthBound(Bound):
    """One bound in one month: `account` is over what this process has leased."""

    def __init__(self, name: str, month: str, limit_usd: Decimal) -> None:
        super().__init__(ZERO)
        self.name = name
        self.month = month
        self.limit_usd = limit_usd.quantize(spend.NANO, ROUND_FLOOR)
        self.elsewhere_usd = ZERO
        """Used up by others, and by this process before its start, as last read."""
        self.asked_usd = ZERO
        """By calls that wait for a lease."""
        self.call_usd = ZERO
        """The worst case of the last call that did."""
        self.lock = asyncio.Lock()

    @property
    def used_usd(self) -> Decimal:
        """Spent and reserved this month, as far as it is known here."""
        return self.elsewhere_usd + self.account.used_usd

    @property
    def left_usd(self) -> Decimal:
        """What the month's limit still covers, leased or not."""
        return max(ZERO, self.limit_usd - self.used_usd)

    @property
    def slack_usd(self) -> Decimal:
        """Leased and not needed now; below zero where calls cost more than their worst case."""
        return self.account.limit_usd - self.account.used_usd

    @property
    def slack_wanted_usd(self) -> Decimal:
        """How much to lease beyond what is needed now."""
        return min(max(self.limit_usd / STEPS, self.call_usd * CALLS_AHEAD), self.limit_usd / SLACK_PARTS)

    def leased(self, more_usd: Decimal, taken_by_all_usd: Decimal) -> None:
        """Take note of what the database said."""
        limit = self.account.limit_usd + more_usd
        self.account = replace(self.account, limit_usd=limit)
        self.elsewhere_usd = max(ZERO, taken_by_all_usd - limit)


@dataclass(slots=True)
class Hold:
    """What is reserved for one call, on each of the accounts it draws on."""

    usd: Decimal
    bounds: tuple[Bound, ...]
    card: RateCard | None

    def release(self, cost_usd: Decimal | None = ZERO) -> None:
        """Settle it; None = the worst case."""
        for bound in self.bounds:
            bound.account = bound.account.settle(self.usd, self.usd if cost_usd is None else cost_usd)


class BudgetKeeper:
    """Every bound of the configuration. It is to be used on one loop only."""

    def __init__(
        self, config: RoutingConfig, database: Database, loop: asyncio.AbstractEventLoop, tasks: Tasks
    ) -> None:
        self._database = database
        self._loop = loop
        self._tasks = tasks
        self._bounds: dict[str, MonthBound] = {}
        self._old: list[MonthBound] = []
        self._limits: dict[str, Decimal] = {}
        self._timer: asyncio.TimerHandle | None = None
        self.open: dict[AttemptId, Hold] = {}
        """By attempt: what is reserved until it ends."""
        self.follow(config)

    def follow(self, config: RoutingConfig) -> None:
        """Go on under these limits; what is spent and reserved stays."""
        self._cards = config.rate_cards
        self.request_extra_usd = config.fallback.max_extra_spend_usd
        self.unbound = Funds(self.request_extra_usd)
        """Of a request that no month binds, before it has spent anything extra."""
        for name in self._limits:
            self.bound(name)  # Requests that came under a limit that is gone now still ask for it.
        self._limits = {}
        if config.fallback.max_extra_month_usd is not None:
            self._limits[EXTRA] = config.fallback.max_extra_month_usd
        self._names: dict[str, tuple[str | None, tuple[str, ...]]] = {}
        for tenant in config.tenants.values():
            whole, extra = f"tenant/{tenant.name}", f"tenant/{tenant.name}/extra"
            if tenant.budget.month_usd is not None:
                self._limits[whole] = tenant.budget.month_usd
            if tenant.budget.extra_month_usd is not None:
                self._limits[extra] = tenant.budget.extra_month_usd
            extras = tuple(name for name in (extra, EXTRA) if name in self._limits)
            self._names[tenant.name] = (whole if whole in self._limits else None, extras)
        for name, bound in self._bounds.items():
            bound.limit_usd = self._limits.get(name, bound.limit_usd).quantize(spend.NANO, ROUND_FLOOR)

    def names_of(self, tenant: str) -> tuple[str | None, tuple[str, ...]]:
        """The bound on all that the tenant spends, if there is one, and those on its fallbacks."""
        return self._names.get(tenant, NO_NAMES)

    def bound(self, name: str) -> MonthBound:
        """That bound in the month that is now."""
        month = month_of(clock.utc_now())
        bound = self._bounds.get(name)
        if bound is None or bound.month != month:
            if bound is not None:
                self._old.append(bound)
                self._tidy_soon()
            limit_usd = self._limits[name] if name in self._limits or bound is None else bound.limit_usd
            bound = self._bounds[name] = MonthBound(name, month, limit_usd)
        return bound

    async def read(self) -> None:
        """Learn what was used up before this process started, so that it is shown before the first lease asks."""
        if not self._limits:
            return
        month = month_of(clock.utc_now())
        try:
            used = await self._database.aside(partial(spend.used_of, month=month))
        except ControlUnavailable as error:
            logger.warning("what was spent this month is not known yet: %s", error)
            return
        for name in self._limits:
            self.bound(name).leased(ZERO, used.get(name, ZERO))

    async def read_again(self, name: str) -> MonthBound:
        """That bound in the month that is now, with what all processes have used of it. Raises ControlUnavailable."""
        bound = self.bound(name)
        async with bound.lock:
            used = await self._database.aside(partial(spend.used_of, month=bound.month))
            bound.leased(ZERO, used.get(name, ZERO))
        return bound

    async def lease(self, bound: MonthBound, usd: Decimal) -> None:
        """See to it that `usd` can be reserved, if the month's limit still covers it. Raises ControlUnavailable."""
        bound.asked_usd += usd
        try:
            async with bound.lock:
                least = usd - bound.slack_usd
                if least <= 0:
                    return
                # One lease for all who wait; those behind this one find it done.
                bound.call_usd = usd
                wanted = bound.asked_usd - bound.slack_usd + bound.slack_wanted_usd
                limit = bound.limit_usd
                work = partial(
                    spend.lease, bound=bound.name, month=bound.month, limit=limit, least=least, wanted=wanted
                )
                taken, by_all = await self._database.aside(work)
                bound.leased(taken, by_all)
        finally:
            bound.asked_usd -= usd

    def settle(self, attempt: Attempt) -> None:
        """Take what an attempt that ended has cost from what was reserved for it."""
        hold = self.open.pop(attempt.intent.attempt_id, None)
        if hold is None:
            return
        hold.release(cost_usd(attempt, hold.card, self._cards))
        for bound in hold.bounds:
            if isinstance(bound, MonthBound) and self._is_untidy(bound):
                self._tidy_soon()

    async def charge(self, tenant: str, usd: Decimal) -> None:
        """Put on the tenant's month what was spent without having been asked for here, even if that goes beyond its
        limit. It is in the database when this returns. Raises ControlUnavailable; then nothing was charged."""
        whole, _ = self.names_of(tenant)
        if whole is None or not usd:
            return
        bound = self.bound(whole)
        async with bound.lock:
            by_all = await self._database.aside(partial(spend.add, bound=bound.name, month=bound.month, usd=usd))
            bound.leased(usd, by_all)
            bound.account = bound.account.settle(ZERO, usd)

    async def close(self) -> None:
        """Give back what is leased and not spent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._old += self._bounds.values()
        self._bounds = {}
        await self._tidy()

    def state(self) -> list[dict[str, str]]:
        """Each bound for an operator: dollars as text, the month in UTC. What no request of this process has touched
        since the month's turn counts as unused until one does."""
        return [
            {
                "bound": bound.name,
                "month": bound.month,
                "limit_usd": plain(bound.limit_usd),
                "used_usd": plain(bound.used_usd),
                "reserved_usd": plain(bound.account.reserved_usd),
                "left_usd": plain(bound.left_usd),
                "renews_at": renewal(clock.utc_now()).isoformat(),
            }
            for bound in (self.bound(name) for name in self._limits)
        ]

    def metrics(self) -> list[GaugeMetricFamily]:
        """By kind of bound, over all tenants: names of tenants are not in metrics."""
        families = {
            name: GaugeMetricFamily(f"tollway_budget_{name}_usd", text, labels=("bound",))
            for name, text in (
                ("limit", "Bounds on this month's spend."),
                ("used", "Spent and reserved this month."),
                ("reserved", "Reserved for calls under way, at their worst."),
            )
        }
        totals: dict[tuple[str, str], Decimal] = {}
        for name in self._limits:
            bound = self.bound(name)
            kind = "extra" if name == EXTRA else "tenant_extra" if name.endswith("/extra") else "tenant"
            amounts = {"limit": bound.limit_usd, "used": bound.used_usd, "reserved": bound.account.reserved_usd}
            for what, amount in amounts.items():
                totals[what, kind] = totals.get((what, kind), ZERO) + amount
        for (what, kind), amount in totals.items():
            families[what].add_metric((kind,), float(amount))
        return list(families.values())

    def _is_untidy(self, bound: MonthBound) -> bool:
        slack, kept = bound.slack_usd, self._kept_usd(bound)
        return slack < 0 or slack > 2 * kept

    def _kept_usd(self, bound: MonthBound) -> Decimal:
        """What may lie idle; nothing in a month that is over."""
        return bound.slack_wanted_usd if self._bounds.get(bound.name) is bound else ZERO

    def _tidy_soon(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(TIDY_S, self._start_tidying)

    def _start_tidying(self) -> None:
        self._timer = None
        self._tasks.spawn(self._tidy())

    async def _tidy(self) -> None:
        """Give back what lies idle, and write down what went beyond a lease."""
        for bound in (*self._bounds.values(), *self._old):
            async with bound.lock:
                if self._is_untidy(bound):
                    await self._give_back(bound)
        self._old = [bound for bound in self._old if bound.account.reserved_usd]

    async def _give_back(self, bound: MonthBound) -> None:
        """Give back what is idle, or take what was spent beyond the lease."""
        kept = self._kept_usd(bound) if bound.slack_usd > 0 else ZERO
        idle = (bound.slack_usd - kept).quantize(spend.NANO, ROUND_FLOOR)
        if idle > 0:  # No longer ours before the database hears of it: whatever fails, no dollar is in two hands.
            bound.leased(-idle, bound.elsewhere_usd + bound.account.limit_usd)
        try:
            work = partial(spend.add, bound=bound.name, month=bound.month, usd=-idle)
            by_all = await self._database.aside(work)
        except ControlUnavailable as error:
            logger.warning("the budget %s was not settled with the control database: %s", bound.name, error)
            return
        bound.leased(max(ZERO, -idle), by_all)


def cost_usd(attempt: Attempt, card: RateCard | None, cards: RateBook = NO_CARDS) -> Decimal | None:
    """What the attempt costs its budgets; None = its worst case, since the vendor may bill what was not seen. `card` is
    the default tier's, that was in force when it was reserved for; where the answer may choose another, `cards` do."""
    if attempt.outcome is Outcome.REFUSED or attempt.http_status >= 400:
        return ZERO
    if attempt.completeness is not Completeness.MEASURED or card is None:
        return None
    if cards.told_by_answers or attempt.usage.modality or processing_tier(attempt.service_tier):
        return spent_usd(attempt, cards)
    try:
        return price(attempt.usage, card).amount
    except Unpriced:
        return None


def month_of(now: datetime) -> str:
    """The calendar month of an instant, in UTC: YYYY-MM."""
    return f"{now.astimezone(UTC):%Y-%m}"


def renewal(now: datetime) -> datetime:
    """When the next calendar month begins, in UTC."""
    now = now.astimezone(UTC)
    year, month = divmod(now.year * 12 + now.month, 12)
    return datetime(year, month + 1, 1, tzinfo=UTC)
