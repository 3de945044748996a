"""Tokens billed against tokens metered: which attempts account for the difference, in a fixed order.

    gap = billed - metered, priced at the card

    gap < 0   UNBILLED_USAGE
    gap > 0   0. as many as the same cell bills elsewhere, and no attempt can have used them DUPLICATE
              1. our side hung up (cancelled, timeout, lost): up to the tokens they saw      CANCELLED_STREAM
              2. the vendor failed them (error) after running usage: up to the tokens seen   RETRY_OR_FALLBACK
              3. ended well, final usage never arrived: up to what they can have used        VOLUME
              4. those of 1 again: up to what they can have used                             CANCELLED_STREAM
              5. up to what the vendor's own usage report counts, where there is one         VOLUME
              6. what is left                                                                UNEXPLAINED

Tokens beyond the vendor's own usage report were used by nobody: 1 to 5 have no say in them.
What an attempt can have used: of an input class, its request's bytes (a token is at least one byte); of an output
class, the output bound of its request. Every token of the gap gets one class; none is claimed without attempts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics.reconciliation.facts import AttemptGroup
from analytics.reconciliation.variance import Evidence, OutcomeEvidence, Part, VarianceClass
from gateway.domain.attempt import Outcome
from gateway.domain.money import EXACT
from gateway.domain.usage import Completeness, TokenClass

SAMPLES_MAX = 5
OUTPUT_CLASSES = frozenset({TokenClass.OUTPUT, TokenClass.REASONING})
_OUR_SIDE = frozenset({Outcome.CANCELLED, Outcome.TIMEOUT, Outcome.LOST})


@dataclass(frozen=True, slots=True)
class Suspects:
    """Attempts that may have been billed unseen, with what they saw and what they can have used of one class."""

    groups: tuple[AttemptGroup, ...]
    floor: int
    ceiling: int


def hung_up(group: AttemptGroup) -> bool:
    """Attempts without final usage that our side ended: the vendor may have billed what it went on to generate."""
    return group.completeness is not Completeness.MEASURED and group.outcome in _OUR_SIDE


def vendor_failed(group: AttemptGroup) -> bool:
    """Attempts that the vendor failed after it had reported running usage."""
    return group.completeness is Completeness.ESTIMATED and group.outcome is Outcome.ERROR


def unreported(group: AttemptGroup) -> bool:
    """Attempts that ended well and whose final usage never arrived."""
    return group.completeness is not Completeness.MEASURED and group.outcome is Outcome.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Tokens billed beyond those metered, and all that may account for them."""

    tokens: int
    groups: Sequence[AttemptGroup]
    classes: Sequence[TokenClass]
    unit_price: Decimal
    card_id: str
    within: int | None = None
    """How many of them the vendor's own usage report counts; None = there is no report."""
    twice: str = ""
    """What else the cell bills exactly as many tokens for; "" = nothing."""

    def part(self, variance_class: VarianceClass, tokens: int, evidence: Evidence) -> Part:
        """Some of them, under a class."""
        return Part(variance_class, EXACT.multiply(self.unit_price, Decimal(tokens)), evidence, tokens)


def split_gap(gap: Gap) -> list[Part]:
    """The gap as parts: their tokens sum to it, their amounts to it times the unit price. No part for no gap."""
    if gap.tokens == 0:
        return []
    if gap.tokens < 0:
        metered = [g for g in gap.groups if g.metered and tokens_of(g, gap.classes)]
        evidence = evidence_of(metered, gap.classes, card_id=gap.card_id)
        return [gap.part(VarianceClass.UNBILLED_USAGE, gap.tokens, evidence)]
    suspects = suspected(gap.groups, gap.classes)
    if gap.twice and gap.tokens > sum(each.ceiling for each in suspects):
        return [gap.part(VarianceClass.DUPLICATE, gap.tokens, Evidence(gap.twice, gap.card_id))]
    used = gap.tokens if gap.within is None else min(gap.tokens, max(0, gap.within))
    ours, theirs, silent = suspects
    seen = min(used, ours.floor)
    failed = min(used - seen, theirs.floor)
    volume = min(used - seen - failed, silent.ceiling)
    unseen = min(used - seen - failed - volume, ours.ceiling - ours.floor)
    told = 0 if gap.within is None else used - seen - failed - volume - unseen
    claims = [
        (VarianceClass.CANCELLED_STREAM, seen + unseen, _proof(ours, gap)),
        (VarianceClass.RETRY_OR_FALLBACK, failed, _proof(theirs, gap)),
        (VarianceClass.VOLUME, volume, _proof(silent, gap)),
        (VarianceClass.VOLUME, told, Evidence("the vendor's own usage report counts these tokens", gap.card_id)),
        (VarianceClass.UNEXPLAINED, gap.tokens - seen - failed - volume - unseen - told, _no_proof(gap)),
    ]
    return [gap.part(name, tokens, evidence) for name, tokens, evidence in claims if tokens]


def possible(groups: Sequence[AttemptGroup], classes: Sequence[TokenClass], gap: int) -> set[VarianceClass]:
    """The classes between which those tokens cannot be told apart; empty where as many were seen as are billed."""
    ours, theirs, silent = suspected(groups, classes)
    if gap <= 0 or gap == ours.floor + theirs.floor or gap >= ours.ceiling + theirs.floor + silent.ceiling:
        return set()
    found = {
        VarianceClass.CANCELLED_STREAM: ours.ceiling,
        VarianceClass.RETRY_OR_FALLBACK: theirs.floor,
        VarianceClass.VOLUME: silent.ceiling,
    }
    return {name for name, most in found.items() if most}


def suspected(groups: Sequence[AttemptGroup], classes: Sequence[TokenClass]) -> tuple[Suspects, Suspects, Suspects]:
    """Those on which our side hung up, those that the vendor failed, and those that ended well and unreported."""
    ours, theirs, silent = (_suspects(filter(test, groups), classes) for test in (hung_up, vendor_failed, unreported))
    return ours, theirs, silent


def tokens_of(group: AttemptGroup, classes: Sequence[TokenClass]) -> int:
    """The group's tokens of those classes together."""
    return sum(group.tokens.of(token_class) for token_class in classes)


def ceiling_of(group: AttemptGroup, classes: Sequence[TokenClass]) -> int:
    """The most tokens of those classes that the group can have used, and never less than it was seen to use."""
    bound = group.output_ceiling if OUTPUT_CLASSES.intersection(classes) else group.request_bytes
    return max(bound, tokens_of(group, classes))


def evidence_of(
    groups: Sequence[AttemptGroup],
    classes: Sequence[TokenClass],
    *,
    card_id: str = "",
    floor: int | None = None,
    ceiling: int | None = None,
    note: str = "",
) -> Evidence:
    """Those attempts as evidence: counted by outcome, with a few of their ids."""
    counts: dict[tuple[str, str], tuple[int, int]] = {}
    for group in groups:
        key = (group.outcome.value, group.completeness.value)
        attempts, tokens = counts.get(key, (0, 0))
        counts[key] = (attempts + group.attempts, tokens + tokens_of(group, classes))
    outcomes = tuple(OutcomeEvidence(*key, *counts[key]) for key in sorted(counts))
    ids = sorted({attempt_id for group in groups for attempt_id in group.attempt_ids})
    return Evidence(note, card_id, outcomes, floor, ceiling, tuple(ids[:SAMPLES_MAX]), "" if ids else _query(groups))


def _query(groups: Sequence[AttemptGroup]) -> str:
    """What finds those attempts in tollway.attempts."""
    if not groups:
        return ""
    names = ("provider", "account", "model", "day", "completeness")
    told = {name: sorted({str(getattr(group, name)) for group in groups}) for name in names}
    return ", ".join(f"{name} in ({' '.join(values)})" for name, values in told.items())


def _suspects(groups: Iterable[AttemptGroup], classes: Sequence[TokenClass]) -> Suspects:
    chosen = tuple(groups)
    floor = sum(tokens_of(g, classes) for g in chosen)
    return Suspects(chosen, floor, sum(ceiling_of(g, classes) for g in chosen))


def _proof(suspects: Suspects, gap: Gap) -> Evidence:
    return evidence_of(
        suspects.groups, gap.classes, card_id=gap.card_id, floor=suspects.floor, ceiling=suspects.ceiling
    )


def _no_proof(gap: Gap) -> Evidence:
    """Why tokens stay unexplained: what there was of attempts without metered usage, and that it does not suffice."""
    unmetered = [g for g in gap.groups if g.sent and not g.metered]
    unpriced = sum(g.attempts for g in unmetered if g.completeness is Completeness.MEASURED)
    if gap.within is not None:
        note = "billed beyond what the vendor's own usage report counts"
    elif unpriced:
        note = f"billed beyond what attempts account for; {unpriced} measured attempts have no price on their card"
    elif unmetered:
        note = "billed beyond what attempts without final usage can have used"
    else:
        note = "billed beyond metered usage, and every attempt's usage is known"
    return evidence_of(unmetered, gap.classes, card_id=gap.card_id, note=note)
