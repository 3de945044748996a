"""Gives every invoiced cent back to the alias, tenant and fallback depth that caused it; what nobody caused says so.

    metered cost                                by the metered cost of each owner's attempts
    RETRY_OR_FALLBACK                           by the tokens those attempts saw
    CANCELLED_STREAM                            the seen tokens by whom saw them, the rest by what they can have used
    VOLUME                                      by what those attempts can have used
    CUTOFF, MODEL_MAP, CLASS_MIX, TIER_MIX      by the tokens of the attempts that they are of
    RATE, ROUNDING, FX, UNBILLED_USAGE          in proportion to the above: the same tokens, at another price or fewer
    TAX, FEE, CREDIT                            by what each owner was charged of the account's month by the rules above
    DUPLICATE, UNTRACKED_CHARGE, UNEXPLAINED    nobody: the "(unallocated)" row
    PURCHASE, PRIOR_PERIOD_CORRECTION           nobody, since it is not of this month's traffic

The parts of a line sum to its invoiced amount exactly: largest remainder, in units of the file's last place or of
0.000001, whichever is finer. Unexplained charges are shown, never smeared over those who did not cause them.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from analytics.reconciliation import gap
from analytics.reconciliation.facts import AttemptGroup
from analytics.reconciliation.variance import IdentityBroken, Line, Source, VarianceClass, total
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


NOBODYS = (
    VarianceClass.DUPLICATE,
    VarianceClass.UNTRACKED_CHARGE,
    VarianceClass.UNEXPLAINED,
    VarianceClass.PURCHASE,
    VarianceClass.PRIOR_PERIOD_CORRECTION,
)
SHARED = (VarianceClass.TAX, VarianceClass.FEE, VarianceClass.CREDIT)
"""Of an account's month as a whole."""

Weights = dict[Owner, Decimal]
Shares = list[tuple[Owner, Decimal]]
Owned = Mapping[tuple[str, str, Source], Sequence[OwnedGroup]]
"""Attempts by provider, account and what a line calls them."""


def allocate_lines(lines: Sequence[Line], owned: Iterable[OwnedGroup], book: RateBook) -> dict[Owner, Decimal]:
    """The invoiced amount of the lines by owner, sorted; sums to their invoiced total exactly, or raises."""
    return owner_sums(lines, share_lines(lines, owned, book))


def share_lines(lines: Sequence[Line], owned: Iterable[OwnedGroup], book: RateBook) -> list[dict[Owner, Decimal]]:
    """Each line's invoiced amount by owner, in the order of the lines."""
    cards = {card.card_id: card for card in book.cards}
    by_source = sources_of(owned)
    shares = [allocate_line(line, by_source, cards) for line in lines]
    accounts: dict[tuple[str, str], dict[Owner, Decimal]] = defaultdict(dict)
    for line, share in zip(lines, shares, strict=True):
        charged = accounts[line.provider, line.account]
        for owner, amount in share.items():
            if owner != NOBODY:
                charged[owner] = total([charged.get(owner, Decimal(0)), amount])
    return [
        _with_shared(line, share, accounts[line.provider, line.account])
        for line, share in zip(lines, shares, strict=True)
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


def sources_of(owned: Iterable[OwnedGroup]) -> Owned:
    """The attempts as lines name them."""
    found: dict[tuple[str, str, Source], list[OwnedGroup]] = defaultdict(list)
    for each in owned:
        group = each.attempts
        source = Source(group.day, group.model, group.processing_tier, group.region)
        found[group.provider, group.account, source].append(each)
    return found


def _with_shared(line: Line, share: dict[Owner, Decimal], charged: Mapping[Owner, Decimal]) -> dict[Owner, Decimal]:
    """The line's share with what of it the account bears as a whole, by what each owner was charged of its month."""
    shared = _amount(line, *SHARED)
    if not shared:
        return share
    weights = {owner: charged[owner] for owner in sorted(charged) if charged[owner] > 0} or {NOBODY: Decimal(1)}
    parts = allocate(shared, list(weights.values()), _quantum(line))
    sums = {
        owner: total([share.get(owner, Decimal(0)), part]) for owner, part in zip(weights, parts, strict=True) if part
    }
    return {owner: amount for owner, amount in {**share, **sums}.items() if amount}


def _quantum(line: Line) -> Decimal:
    """The unit in which the line is shared out."""
    return Decimal(1).scaleb(-max(line.scale or 0, PLACES_MIN))


def allocate_line(line: Line, owned: Owned, cards: Mapping[str, RateCard]) -> dict[Owner, Decimal]:
    """One line's invoiced amount by owner, but for what its account shares."""
    mine = _of(line, line.sources, owned)
    with localcontext(prec=76):
        quantum = _quantum(line)
        own = line.invoiced - _amount(line, *SHARED)
        nobodys = _amount(line, *NOBODYS).quantize(quantum, ROUND_HALF_EVEN)
        weights = _weights_in_money(line, mine, owned, cards) or _weights_in_tokens(line, mine, owned)
        if not weights:
            nobodys = own
        rest = own - nobodys
        owners = sorted(weights)
        parts = allocate(rest, [weights[owner] for owner in owners], quantum) if rest else [Decimal(0)] * len(owners)
    found = {owner: part for owner, part in zip(owners, parts, strict=True) if part}
    return found | {NOBODY: nobodys} if nobodys else found


def _of(line: Line, sources: Iterable[Source], owned: Owned) -> list[OwnedGroup]:
    return [each for source in sources for each in owned.get((line.provider, line.account, source), ())]


def _weights_in_money(line: Line, mine: Sequence[OwnedGroup], owned: Owned, cards: Mapping[str, RateCard]) -> Weights:
    """How much of the line's cost each owner caused, at the prices it was metered at; empty when that is nothing."""

    def cost(group: AttemptGroup) -> Decimal:
        card = cards[group.card_id]
        costs = (group.tokens.of(each) * (card.unit_price(each) or Decimal(0)) for each in line.classes)
        return sum(costs, Decimal(0))

    weights: Weights = defaultdict(Decimal)
    metered = [(each.owner, cost(each.attempts)) for each in mine if each.attempts.metered and each.attempts.card_id]
    _spread(weights, line.metered, metered)
    _spread_suspects(weights, line, mine, line.unit_price or Decimal(0))
    _spread_counterparts(weights, line, owned, sum((_amount(line, name) for name in SHIFTED), Decimal(0)))
    return weights


def _weights_in_tokens(line: Line, mine: Sequence[OwnedGroup], owned: Owned) -> Weights:
    """The same in tokens, for a line whose price on our card is zero; empty when there are none."""
    weights: Weights = defaultdict(Decimal)
    metered = [(each.owner, _seen(line, each)) for each in mine if each.attempts.metered]
    _spread(weights, Decimal(line.metered_quantity), metered)
    _spread_suspects(weights, line, mine, Decimal(1))
    _spread_counterparts(weights, line, owned, sum((_tokens(line, name) for name in SHIFTED), Decimal(0)))
    return weights


_SUSPECTS = {
    VarianceClass.CANCELLED_STREAM: gap.hung_up,
    VarianceClass.RETRY_OR_FALLBACK: gap.vendor_failed,
    VarianceClass.VOLUME: gap.unreported,
}


SHIFTED = (VarianceClass.CUTOFF, VarianceClass.MODEL_MAP, VarianceClass.CLASS_MIX, VarianceClass.TIER_MIX)


def _spread_counterparts(weights: Weights, line: Line, owned: Owned, amount: Decimal) -> None:
    """What the line bills of other lines' tokens, by whose those are."""
    shares = [
        (each.owner, Decimal(gap.tokens_of(each.attempts, counterpart.classes)))
        for counterpart in line.counterparts
        for each in _of(line, counterpart.sources, owned)
        if each.attempts.metered
    ]
    _spread(weights, amount, shares)


def _spread_suspects(weights: Weights, line: Line, mine: Sequence[OwnedGroup], unit: Decimal) -> None:
    """The tokens of each class by whom saw them, and those beyond by what the attempts can have used."""
    for variance_class, suspect in _SUSPECTS.items():
        tokens = _tokens(line, variance_class)
        if not tokens:
            continue
        behind = [each for each in mine if suspect(each.attempts)]
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
