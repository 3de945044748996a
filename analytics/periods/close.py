"""The close at work: gather the facts, ask the machine, write what it answered. A thin loop with compare-and-swap.

Facts are gathered outside of any transaction, since that takes as long as a month is big; what was read of the control
database before is compared when the step is written, and a step that somebody else overtook raises Contested.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from analytics import corrections, exceptions, exports, trail
from analytics.accounts.roles import Actor
from analytics.control import Control
from analytics.exceptions import Care
from analytics.exports import Draft, OwnerCosts, Pack
from analytics.pack import SignOff
from analytics.periods import book
from analytics.periods.blockers import Inspection, blockers
from analytics.periods.book import Contested
from analytics.periods.machine import Blocker, Facts, Period, Refused, State, Step, transition
from analytics.reconciliation.policy import FOCUS, Policy
from analytics.reconciliation.summary import Reconciliation
from analytics.rfc4180 import render as csv_of
from analytics.windows import Window, month_window
from gateway.domain.money import plain

Inspect = Callable[[Client, Window, datetime], Inspection]
"""Finds out what is on its way to the store and whether the books agree, of a window, at an instant."""

CORRECTED_MONTHS = 12
"""How many closed months back late facts are looked for."""

AT_ONCE = ("forbidden", "wrong_state", "reason_missing", "same_person", "not_prepared")
"""Refusals for which no facts have to be gathered."""

INSPECTED = (Step.SIGN, Step.REVIEW, Step.CLOSE)
"""The steps that ask whether the books agree: facts, rollups and ledgers are compared for the whole month."""


class StepRefused(Exception):
    """The machine refused; its answer is in `refused`."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.words)
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a month stands and what is in its way."""

    period: Period
    blockers: tuple[Blocker, ...]
    totals: Mapping[str, str]
    figures: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the control database said before the facts were gathered."""

    period: Period
    periods: Sequence[Period]
    frozen: Mapping[str, Mapping[str, bytes]]
    trail_broken: str


class Close:
    """The months of one installation. `client` gives a reader of the store; `tool` is our name and version."""

    def __init__(
        self,
        control: Control,
        client: Callable[[], AbstractContextManager[Client]],
        inspect: Inspect,
        costs: OwnerCosts,
        *,
        tool: str,
        policy: Policy = FOCUS,
    ) -> None:
        self._control = control
        self._client = client
        self._inspect = inspect
        self._costs = costs
        self._tool = tool
        self._policy = policy

    def periods(self) -> Sequence[Period]:
        """Every month that a step was taken of."""
        with self._control.transaction() as connection:
            return book.all_of(connection)

    def standing(self, month: str, *, now: datetime) -> Standing:
        """Where it stands. Raises MonthInvalid, IdentityBroken, and the store's errors."""
        seen = self._see(month)
        closed = seen.period.state is State.CLOSED
        drafted, found = self._gather(seen, now, inspected=not closed)
        return Standing(
            period=seen.period,
            blockers=() if closed else found,
            totals=totals(drafted.reconciliation),
            figures=drafted.figures,
        )

    def take(self, month: str, step: Step, actor: Actor, *, now: datetime, reason: str = "") -> Period:
        """Take a step in that actor's name. Raises StepRefused, Contested, and as `standing` does."""
        seen = self._see(month)
        early = transition(seen.period, step, actor, Facts(), now=now, reason=reason)
        if isinstance(early, Refused) and early.code in AT_ONCE:
            raise StepRefused(early)
        drafted, found = self._gather(seen, now, inspected=step in INSPECTED)
        facts = Facts(
            blockers=found,
            figures=drafted.figures,
            totals=totals(drafted.reconciliation),
            earlier_open=earlier_open(month, seen.periods),
            later_closed=tuple(p.month for p in seen.periods if p.month > month and p.state is State.CLOSED),
        )
        outcome = transition(seen.period, step, actor, facts, now=now, reason=reason)
        if isinstance(outcome, Refused):
            raise StepRefused(outcome)
        moved, files = outcome.period, None
        if step is Step.CLOSE:
            made = self._render(drafted, moved)
            moved, files = replace(moved, pack=made.sha256), book.deflated(made.files)
        with self._control.transaction() as connection:
            if book.all_of(connection) != seen.periods:
                raise Contested(f"someone else took a step meanwhile: look at {month} again")
            book.write(connection, seen.period, moved)
            if step in (Step.CLOSE, Step.REOPEN):
                book.freeze(connection, month, files or {})
            detail = {
                "from": seen.period.state.value,
                "to": moved.state.value,
                "totals": dict(facts.totals),
                "figures_sha256": facts.figures,
                **({"reason": reason} if reason else {}),
                **({"pack_sha256": moved.pack} if moved.pack else {}),
            }
            trail.append(connection, at=now, actor=actor.name, action=f"period_{step}", subject=month, detail=detail)
        return moved

    def pack(self, month: str, *, now: datetime) -> Pack:
        """The month's pack: of a closed one the files it was frozen with, of any other what the facts say now."""
        with self._control.transaction() as connection:
            files = book.frozen(connection, month)
        if files:
            return Pack.frozen(month, book.inflated(files))
        seen = self._see(month)
        with self._client() as client:
            drafted = self._draft(client, seen, now)
        return self._render(drafted, seen.period)

    def table(self, month: str, name: str, *, now: datetime) -> list[dict[str, str]]:
        """The rows of one of the pack's CSVs, as text, without the work of the others."""
        with self._control.transaction() as connection:
            files = book.inflated(book.frozen(connection, month, (name,)))
        if not files:
            seen = self._see(month)
            with self._client() as client:
                drafted = self._draft(client, seen, now)
            with self._control.transaction() as connection:
                cares = exceptions.cares(connection, month)
            files = {
                table.name: csv_of(table.columns, table.rows)
                for table in exports.tables(drafted, sign_off(seen.period), cares)
                if table.name == name
            }
        return corrections.texts(files[name])

    def note(self, month: str, exception_id: str, care: Care, *, actor: Actor, now: datetime) -> None:
        """Give an exception an owner and a note. Raises ExceptionUnknown, and Contested for a month that is signed."""
        if exception_id not in {row["exception_id"] for row in self.table(month, "recon_exceptions.csv", now=now)}:
            raise exceptions.ExceptionUnknown(f"{month} has no exception {exception_id!r}")
        with self._control.transaction() as connection:
            state = book.read(connection, month).state
            if state in (State.SIGNED, State.CLOSED):
                raise Contested(f"{month} is {state}: its pack has what was known, and takes no more notes")
            exceptions.take_care(connection, month, exception_id, care, by=actor.name, now=now)

    def _see(self, month: str) -> _Seen:
        month_window(month)
        with self._control.transaction() as connection:
            periods = book.all_of(connection)
            closed = [p.month for p in periods if p.state is State.CLOSED and p.month < month][-CORRECTED_MONTHS:]
            period = next((p for p in periods if p.month == month), Period(month=month))
            kept = {name: book.frozen(connection, name, exports.STOOD_ON) for name in closed}
            broken = trail.broken(connection)
        frozen = {name: book.inflated(files) for name, files in kept.items()}
        return _Seen(period, periods, frozen, broken)

    def _gather(self, seen: _Seen, now: datetime, *, inspected: bool = True) -> tuple[Draft, tuple[Blocker, ...]]:
        with self._client() as client:
            drafted = self._draft(client, seen, now)
            window = drafted.reconciliation.window
            found = self._inspect(client, window, now) if inspected else Inspection()
        if seen.trail_broken:
            found = replace(found, faults=(*found.faults, seen.trail_broken))
        return drafted, blockers(drafted.reconciliation, found, now=now)

    def _draft(self, client: Client, seen: _Seen, now: datetime) -> Draft:
        month = seen.period.month
        takes = bool(seen.frozen) and not earlier_open(month, seen.periods)
        return exports.draft(
            client, month, self._costs, now=now, frozen=seen.frozen, corrected=takes, policy=self._policy
        )

    def _render(self, drafted: Draft, period: Period) -> Pack:
        with self._control.transaction() as connection:
            cares = exceptions.cares(connection, period.month)
        return exports.render(drafted, sign_off(period), cares, tool=self._tool)


def totals(month: Reconciliation) -> dict[str, str]:
    """A month in a few figures, as the audit trail keeps them; classes that are zero are left out."""
    sums = {
        "metered": month.metered,
        "invoiced": month.invoiced,
        "variance": month.variance,
        "unexplained_gross": month.unexplained_gross,
    }
    classes = {f"var_{name.value.lower()}": amount for name, amount in month.by_class.items() if amount}
    return {name: plain(amount) for name, amount in (sums | classes).items()}


def earlier_open(month: str, periods: Sequence[Period]) -> tuple[str, ...]:
    """The months that have to close before this one: those since the last closed one, or where none is closed yet,
    those
    that somebody began to close."""
    closed = [p.month for p in periods if p.state is State.CLOSED and p.month < month]
    if not closed:
        return tuple(p.month for p in periods if p.month < month and p.state is not State.OPEN)
    found, each = [], _following(closed[-1])
    while each < month:
        found.append(each)
        each = _following(each)
    return tuple(found)


def sign_off(period: Period) -> SignOff:
    """Whose names are under the month, for its pack."""
    return SignOff(
        state=period.state.value,
        prepared_by=period.prepared.by if period.prepared else "",
        prepared_at=period.prepared.at if period.prepared else None,
        reviewed_by=period.reviewed.by if period.reviewed else "",
        reviewed_at=period.reviewed.at if period.reviewed else None,
        closed_at=period.closed_at,
    )


def _following(month: str) -> str:
    return f"{month_window(month).until + timedelta(days=1):%Y-%m}"
