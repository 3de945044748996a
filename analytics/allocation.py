"""Gives every invoiced cent back to the alias, tenant and fallback depth that caused it; what nobody caused says so.

    metered cost                               by the metered cost of each owner's attempts
    RETRY_OR_FALLBACK                          by the tokens those attempts saw
    CANCELLED_STREAM                           the seen tokens by whom saw them, the rest by what they can have used
    VOLUME                                     by what those attempts can have used
    RATE, ROUNDING, UNBILLED_USAGE             in proportion to the above: the same tokens, at another price or fewer
    UNTRACKED_CHARGE, UNEXPLAINED              nobody: the "(unallocated)" row

The parts of a line sum to its invoiced amount exactly: largest remainder, in units of the file's last place or of
0.000001, whichever is finer. Unexplained charges are shown, never smeared over those who did not cause them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from analytics.reconciliation import gap
from analytics.reconciliation.facts import AttemptGroup
from analytics.reconciliation.variance import IdentityBroken, Line, VarianceClass, total
from gateway.domain.money import allocate, plain
from gateway.domain.rate_card import RateBook, RateCard

UNALLOCATED = "(unallocated)"
PLACES_MIN = 6


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Who caused a charge. The unallocated row has UNALLOCATED as tenant and alias."""

    tenant: str
    alias: str
    tier: str
    fallback_depth: int
    fallback_reason: str


NOBODY = Owner(UNALLOCATED, UNALLOCATED, "", 0, "")


@dataclass(frozen=True, slots=True)
class OwnedGroup:
    """Attempts of one owner, account, model and UTC day that ended alike."""

    owner: Owner
    attempts: AttemptGroup


Weights = dict[Owner, Decimal]
Shares = list[tuple[Owner, Decimal]]
_Cell = tuple[str, str, date, str]


def allocate_lines(lines: Sequence[Line], owned: Iterable[OwnedGroup], book: RateBook) -> dict[Owner, Decimal]:
    """The invoiced amount of the lines by owner, sorted; sums to their invoiced total exactly, or raises."""
    return owner_sums(lines, share_lines(lines, owned, book))


def share_lines(lines: Iterable[Line], owned: Iterable[OwnedGroup], book: RateBook) -> list[dict[Owner, Decimal]]:
    """Each line's invoiced amount by owner, in the order of the lines."""
    cards = {card.card_id: card for card in book.cards}
    by_cell: dict[_Cell, list[OwnedGroup]] = defaultdict(list)
    for each in owned:
        group = each.attempts
        by_cell[group.provider, group.account, group.day, group.model].append(each)
    return [
        allocate_line(
            line,
            [each for model in line.models for each in by_cell[line.provider, line.account, line.day, model]],
            cards,
        )
        for line in lines
    ]


def owner_sums(lines: Iterable[Line], shares: Iterable[Mapping[Owner, Decimal]]) -> dict[Owner, Decimal]:
    """Those shares summed up by owner, sorted. Raises IdentityBroken unless they are what was invoiced."""
    amounts: dict[Owner, list[Decimal]] = defaultdict(list)
    for share in shares:
        for owner, amount in share.items():
            amounts[owner].append(amount)
    sums = {owner: total(amounts[owner]) for owner in sorted(amounts)}
    invoiced = total(line.invoiced for line in lines)
    if total(sums.values()) != invoiced:
        raise IdentityBroken(f"allocated {plain(total(sums.values()))} of {plain(invoiced)} invoiced")
    return sums


def allocate_line(line: Line, owned: Sequence[OwnedGroup], cards: Mapping[str, RateCard]) -> dict[Owner, Decimal]:
    """One line's invoiced amount by owner. `owned` are the attempts of the line's models on its day."""
    with localcontext(prec=76):
        quantum = Decimal(1).scaleb(-max(line.scale or 0, PLACES_MIN))
        nobodys = _amount(line, VarianceClass.UNTRACKED_CHARGE, VarianceClass.UNEXPLAINED)
        nobodys = nobodys.quantize(quantum, ROUND_HALF_EVEN)
        weights = _weights_in_money(line, owned, cards) or _weights_in_tokens(line, owned)
        if not weights:
            nobodys = line.invoiced
        rest = line.invoiced - nobodys
        owners = sorted(weights)
        parts = allocate(rest, [weights[owner] for owner in owners], quantum) if rest else [Decimal(0)] * len(owners)
    found = {owner: part for owner, part in zip(owners, parts, strict=True) if part}
    return found | {NOBODY: nobodys} if nobodys else found


def _weights_in_money(line: Line, owned: Sequence[OwnedGroup], cards: Mapping[str, RateCard]) -> Weights:
    """How much of the line's cost each owner caused, at the prices it was metered at; empty when that is nothing."""

    def cost(group: AttemptGroup) -> Decimal:
        card = cards[group.card_id]
        costs = (group.tokens.of(each) * (card.unit_price(each) or Decimal(0)) for each in line.classes)
        return sum(costs, Decimal(0))

    weights: Weights = defaultdict(Decimal)
    metered = [(each.owner, cost(each.attempts)) for each in owned if each.attempts.metered and each.attempts.card_id]
    _spread(weights, line.metered, metered)
    _spread_suspects(weights, line, owned, line.unit_price or Decimal(0))
    return weights


def _weights_in_tokens(line: Line, owned: Sequence[OwnedGroup]) -> Weights:
    """The same in tokens, for a line whose price on our card is zero; empty when there are none."""
    weights: Weights = defaultdict(Decimal)
    metered = [(each.owner, _seen(line, each)) for each in owned if each.attempts.metered]
    _spread(weights, Decimal(line.metered_quantity), metered)
    _spread_suspects(weights, line, owned, Decimal(1))
    return weights


_SUSPECTS = {
    VarianceClass.CANCELLED_STREAM: gap.hung_up,
    VarianceClass.RETRY_OR_FALLBACK: gap.vendor_failed,
    VarianceClass.VOLUME: gap.unreported,
}


def _spread_suspects(weights: Weights, line: Line, owned: Sequence[OwnedGroup], unit: Decimal) -> None:
    """The tokens of each class by whom saw them, and those beyond by what the attempts can have used."""
    for variance_class, suspect in _SUSPECTS.items():
        tokens = _tokens(line, variance_class)
        if not tokens:
            continue
        behind = [each for each in owned if suspect(each.attempts)]
        seen = [(each.owner, _seen(line, each)) for each in behind]
        able = [(each.owner, Decimal(gap.ceiling_of(each.attempts, line.classes))) for each in behind]
        if variance_class is not VarianceClass.VOLUME:
            able = [(owner, most - known) for (owner, most), (_, known) in zip(able, seen, strict=True)]
        whole = sum((known for _, known in seen), Decimal(0))
        first = Decimal(0) if variance_class is VarianceClass.VOLUME else min(tokens, whole)
        _spread(weights, first * unit, seen)
        _spread(weights, (tokens - first) * unit, able)


def _spread(weights: Weights, amount: Decimal, by: Shares) -> None:
    whole = sum((share for _, share in by), Decimal(0))
    if amount <= 0 or whole <= 0:
        return
    for owner, share in by:
        if share:
            weights[owner] += amount * share / whole


def _seen(line: Line, each: OwnedGroup) -> Decimal:
    return Decimal(gap.tokens_of(each.attempts, line.classes))


def _amount(line: Line, *classes: VarianceClass) -> Decimal:
    return total(part.amount for part in line.parts if part.variance_class in classes)


def _tokens(line: Line, variance_class: VarianceClass) -> Decimal:
    return Decimal(sum(part.tokens or 0 for part in line.parts if part.variance_class is variance_class))
