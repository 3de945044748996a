"""A month's way to its close, as a pure function: the period, a step, who takes it and the facts in; the next period,
or a refusal that lists what is in the way.

    open --provision--> provisional --invoice--> invoiced --match--> matched --sign, review--> signed --close--> closed
      ^                                                                                                            |
      +--------------------------------- reopen, with a reason, from any state ------------------------------------+

provision   what the month will cost is accrued from our own ledger; may be taken again while provisional
invoice     every account with metered cost has its invoice
match       the reconciliation stands; may be taken again while matched, which takes a preparer's signature back
sign        the preparer signs what it sees
review      another person signs the same figures, to the byte; else the preparer must sign again
close       the same figures are frozen, in the order of the calendar
reopen      of closed months only the last: packs are chained, and what changes an older one is a correction

Nothing here reads a clock, a store or a table.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias, assert_never

from analytics.accounts.roles import Actor, Right


class State(StrEnum):
    """How far a month is."""

    OPEN = "open"
    PROVISIONAL = "provisional"
    INVOICED = "invoiced"
    MATCHED = "matched"
    SIGNED = "signed"
    CLOSED = "closed"


class Step(StrEnum):
    """What somebody may do to it."""

    PROVISION = "provision"
    INVOICE = "invoice"
    MATCH = "match"
    SIGN = "sign"
    REVIEW = "review"
    CLOSE = "close"
    REOPEN = "reopen"


NEEDS = {
    Step.PROVISION: Right.PREPARE,
    Step.INVOICE: Right.PREPARE,
    Step.MATCH: Right.PREPARE,
    Step.SIGN: Right.PREPARE,
    Step.REVIEW: Right.REVIEW,
    Step.CLOSE: Right.REVIEW,
    Step.REOPEN: Right.REVIEW,
}

FROM = {
    Step.PROVISION: (State.OPEN, State.PROVISIONAL),
    Step.INVOICE: (State.PROVISIONAL,),
    Step.MATCH: (State.INVOICED, State.MATCHED),
    Step.SIGN: (State.MATCHED,),
    Step.REVIEW: (State.MATCHED,),
    Step.CLOSE: (State.SIGNED,),
    Step.REOPEN: tuple(state for state in State if state is not State.OPEN),
}


class Kind(StrEnum):
    """What can be in the way of a signature."""

    NOT_ENDED = "not_ended"
    MISSING_INVOICE = "missing_invoice"
    UNEXPLAINED = "unexplained"
    UNPRICED = "unpriced"
    PENDING = "pending"
    PARKED = "parked"
    AUDIT_FAILED = "audit_failed"
    AUDIT_UNKNOWN = "audit_unknown"


@dataclass(frozen=True, slots=True)
class Blocker:
    """Something in the way, of what, and in words with the way out."""

    kind: Kind
    of: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Who put a name to the figures, and when."""

    by: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A month, as the control database keeps it. `revision` counts the steps: who writes names the one it has seen."""

    month: str
    state: State = State.OPEN
    revision: int = 0
    prepared: Signature | None = None
    reviewed: Signature | None = None
    figures: str = ""
    """The hash of the figures that the preparer signed; "" = nobody has."""
    closed_at: datetime | None = None
    pack: str = ""
    """The hash of the pack's manifest at closing; "" = not closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a step is judged by."""

    blockers: tuple[Blocker, ...] = ()
    figures: str = ""
    """The hash of the month's figures as they are now."""
    totals: Mapping[str, str] = field(default_factory=dict)
    earlier_open: tuple[str, ...] = ()
    """Months before it that are under way and not closed."""
    later_closed: tuple[str, ...] = ()
    """Months after it that are closed."""


@dataclass(frozen=True, slots=True)
class Moved:
    """The step is taken."""

    period: Period


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not, and why. `code` is one of a closed list; `blockers` only where they are the reason."""

    code: str
    words: str
    blockers: tuple[Blocker, ...] = ()


Outcome: TypeAlias = Moved | Refused


def transition(period: Period, step: Step, actor: Actor, facts: Facts, *, now: datetime, reason: str = "") -> Outcome:
    """What becomes of the period. Refusals: forbidden, wrong_state, blocked, same_person, figures_changed,
    not_prepared, earlier_month_open, later_month_closed, reason_missing."""
    if (refused := _refusal(period, step, actor, facts, reason)) is not None:
        return refused
    signature = Signature(by=actor.name, at=now)
    moved = replace(period, revision=period.revision + 1)
    match step:
        case Step.PROVISION:
            return Moved(replace(moved, state=State.PROVISIONAL))
        case Step.INVOICE:
            return Moved(replace(moved, state=State.INVOICED))
        case Step.MATCH:
            return Moved(replace(moved, state=State.MATCHED, prepared=None, figures=""))
        case Step.SIGN:
            return Moved(replace(moved, prepared=signature, figures=facts.figures))
        case Step.REVIEW:
            return Moved(replace(moved, state=State.SIGNED, reviewed=signature))
        case Step.CLOSE:
            return Moved(replace(moved, state=State.CLOSED, closed_at=now))
        case Step.REOPEN:
            return Moved(Period(month=period.month, revision=moved.revision))
        case _:
            assert_never(step)


def _refusal(period: Period, step: Step, actor: Actor, facts: Facts, reason: str) -> Refused | None:
    if NEEDS[step] not in actor.rights:
        return Refused("forbidden", f"{actor.name} may not {step} a month: its roles do not go so far")
    if period.state not in FROM[step]:
        able = ", ".join(each for each in Step if period.state in FROM[each])
        return Refused("wrong_state", f"{period.month} is {period.state}, so it cannot {step}; it can {able}")
    match step:
        case Step.INVOICE:
            return _blocked(period, step, facts, only=(Kind.NOT_ENDED, Kind.MISSING_INVOICE))
        case Step.SIGN:
            return _blocked(period, step, facts)
        case Step.REVIEW:
            return _unreviewable(period, actor) or _blocked(period, step, facts) or _changed(period, facts)
        case Step.CLOSE:
            return _out_of_turn(period, facts) or _blocked(period, step, facts) or _changed(period, facts)
        case Step.REOPEN:
            return _unopenable(period, facts, reason)
        case _:
            return None


def _blocked(period: Period, step: Step, facts: Facts, only: tuple[Kind, ...] = tuple(Kind)) -> Refused | None:
    found = tuple(blocker for blocker in facts.blockers if blocker.kind in only)
    if not found:
        return None
    words = "; ".join(blocker.words for blocker in found)
    return Refused("blocked", f"{period.month} cannot {step}: {words}", found)


def _unreviewable(period: Period, actor: Actor) -> Refused | None:
    if period.prepared is None:
        return Refused("not_prepared", f"nobody has signed {period.month} as its preparer yet: `tollway period sign`")
    if period.prepared.by == actor.name:
        words = f"{actor.name} prepared {period.month}, so another person must review it"
        return Refused("same_person", words)
    return None


def _changed(period: Period, facts: Facts) -> Refused | None:
    if period.figures == facts.figures:
        return None
    words = (
        f"the figures of {period.month} are no longer those that were signed: reopen it, or match and sign it again"
        if period.state is State.SIGNED
        else f"the figures of {period.month} changed since they were signed: the preparer must sign again"
    )
    return Refused("figures_changed", words)


def _out_of_turn(period: Period, facts: Facts) -> Refused | None:
    if not facts.earlier_open:
        return None
    words = f"{', '.join(facts.earlier_open)} must close before {period.month}: packs are chained by month"
    return Refused("earlier_month_open", words)


def _unopenable(period: Period, facts: Facts, reason: str) -> Refused | None:
    if not reason.strip():
        return Refused("reason_missing", f"say why {period.month} is opened again: --reason")
    if period.state is State.CLOSED and facts.later_closed:
        words = (
            f"{', '.join(facts.later_closed)} closed after {period.month} and its pack stands on that one's: "
            "what changed shows as corrections in the open month"
        )
        return Refused("later_month_closed", words)
    return None
