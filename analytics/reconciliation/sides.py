"""The two sides of one line, brought together to be compared: billed rows, attempts, and the card between them.

Decides which token classes a line takes in, which card prices it, and what its attempts cost by the cards that rated
them. Checks the store's own arithmetic on the way.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal

from analytics.reconciliation import charges, names
from analytics.reconciliation.facts import AttemptGroup, BilledRow
from analytics.reconciliation.grain import DAY, Cell
from analytics.reconciliation.variance import OTHER, IdentityBroken, Part, Source, total
from gateway.domain.money import EXACT, plain
from gateway.domain.rate_card import RateBook, RateCard, price
from gateway.domain.usage import TokenClass

NOTHING_REPORTED: Mapping[str, int] = {}


class CardMissing(LookupError):
    """The store rated attempts by a card that is not in the book: the cards changed in between. Reconcile again."""


@dataclass(frozen=True, slots=True)
class Side:
    """One line's two sides before they are compared."""

    cell: Cell
    token_class: TokenClass | None
    """None = not tokens of a class we know."""
    classes: tuple[TokenClass, ...]
    """The classes the line takes in: its own, and for output the reasoning tokens billed with it."""
    billed: tuple[BilledRow, ...]
    """Every row of the line."""
    rows: tuple[BilledRow, ...]
    """Those to be compared with attempts: usage, each once, at the vendor's own price."""
    apart: tuple[Part, ...]
    """What is explained by the invoice itself."""
    groups: tuple[AttemptGroup, ...]
    sources: tuple[Source, ...]
    card: RateCard | None
    others: tuple[RateCard, ...]
    rated: tuple[RateCard, ...]
    """The cards by which its attempts were metered."""
    metered_quantity: int
    metered: Decimal
    reported: int | None = None
    """Tokens that the vendor's own usage report counts; None = there is none for this cell."""

    @property
    def key(self) -> tuple[Cell, str]:
        """What makes the side one of its kind."""
        return (self.cell, self.token_class or OTHER)

    @property
    def unit_price(self) -> Decimal | None:
        return None if self.card is None or self.token_class is None else self.card.unit_price(self.token_class)

    @property
    def compared(self) -> Decimal:
        """What the compared rows bill."""
        return total(row.amount for row in self.rows)

    @property
    def quantity(self) -> int | None:
        """Tokens of the compared rows; None = there is none, or one does not say."""
        known = [row.quantity for row in self.rows if row.quantity is not None]
        return sum(known) if known and len(known) == len(self.rows) else None

    @property
    def gap(self) -> int | None:
        """Tokens billed beyond those metered, below zero for fewer; None where that cannot be told."""
        if self.token_class is None:
            return None
        if not self.rows:
            return -self.metered_quantity
        return None if self.quantity is None else self.quantity - self.metered_quantity


class PriceList:
    """The rate cards, found by id and by model."""

    def __init__(self, book: RateBook) -> None:
        self.book = book
        self.by_id = {card.card_id: card for card in book.cards}
        self._by_provider: dict[str, list[RateCard]] = defaultdict(list)
        for card in filter(in_usd, book.cards):
            self._by_provider[card.provider].append(card)
        self._by_model: dict[tuple[str, str], list[RateCard]] = {}

    def rows_of(self, provider: str, models: Iterable[str]) -> list[RateCard]:
        """Every card row of those models, by name or by prefix, each once."""
        found = {card.card_id: card for model in sorted(set(models)) for card in self._of(provider, model)}
        return list(found.values())

    def _of(self, provider: str, model: str) -> list[RateCard]:
        key = (provider, model)
        if key not in self._by_model:
            self._by_model[key] = [card for card in self._by_provider.get(provider, ()) if card.names(model)]
        return self._by_model[key]


def sides_of(
    cell: Cell,
    rows: list[BilledRow],
    groups: list[AttemptGroup],
    prices: PriceList,
    reported: Mapping[str, int] = NOTHING_REPORTED,
) -> list[Side]:
    """The sides of every line of a cell that was billed or metered, one a token class."""
    rows_by_class: dict[str, list[BilledRow]] = defaultdict(list)
    for row in sorted(rows, key=_order):
        rows_by_class[row.token_class].append(row)
    groups = sorted(groups, key=lambda g: (g.model, g.card_id, g.day, g.outcome, g.completeness, g.priced))
    card = _card_of(cell, groups, prices)
    # Another model's card is no evidence: what was billed for may have been swapped. A dated name is its model's.
    same_model = {cell.model, *(row.model for row in rows if cell.model in names.spelt(row.model))}
    others = _others(cell, prices.rows_of(cell.provider, same_model), card)
    apart = TokenClass.REASONING in rows_by_class
    ids = sorted({group.card_id for group in groups if group.metered and group.card_id in prices.by_id})
    rated = tuple(prices.by_id[card_id] for card_id in ids)
    sources = tuple(sorted({Source(g.day, g.model, g.processing_tier, g.region) for g in groups}))
    sides = []
    for token_class in (None, *TokenClass):
        classes = _classes(token_class, reasoning_apart=apart)
        mine = tuple(rows_by_class.get(token_class or OTHER, ()))
        quantity, metered = _metered(groups, classes, prices.by_id)
        if not (mine or metered or quantity):
            continue
        usage, explained = charges.set_apart(mine)
        kept, doubled = charges.without_duplicates(usage, quantity)
        known = [reported[name] for name in classes if name in reported]
        sides.append(
            Side(
                cell, token_class, classes, mine, tuple(kept), (*explained, *doubled), tuple(groups), sources, card,
                others, rated, quantity, metered, sum(known) if known else None,
            )
        )  # fmt: skip
    return sides


def _order(row: BilledRow) -> tuple[object, ...]:
    return (row.import_id, row.row, row.amount, row.quantity or 0, row.identity, row.model)


def _classes(token_class: TokenClass | None, *, reasoning_apart: bool) -> tuple[TokenClass, ...]:
    """Vendors bill reasoning tokens as output, unless the invoice has a line for them."""
    if token_class is None or (token_class is TokenClass.REASONING and not reasoning_apart):
        return ()
    if token_class is TokenClass.OUTPUT and not reasoning_apart:
        return (TokenClass.OUTPUT, TokenClass.REASONING)
    return (token_class,)


def _card_of(cell: Cell, groups: Sequence[AttemptGroup], prices: PriceList) -> RateCard | None:
    """The card that rated the day's attempts, if it was one; else the one in force as the day began, or ended."""
    rated = {g.card_id for g in groups if g.card_id in prices.by_id and in_usd(prices.by_id[g.card_id])}
    if len(rated) == 1:
        return prices.by_id[rated.pop()]
    last = cell.day + (cell.days - 1) * DAY
    for day, hour in ((cell.day, time.min), (last, time.max)):
        at = datetime.combine(day, hour, tzinfo=UTC)
        card = prices.book.in_force(
            provider=cell.provider,
            account=cell.account,
            model=cell.model,
            at=at,
            tier=cell.processing_tier,
            region=cell.region,
        )
        if card is not None and in_usd(card):
            return card
    return None


def in_usd(card: RateCard) -> bool:
    """Invoices are in USD, so a card in another currency proves nothing of them."""
    return card.currency == "USD"


def _others(cell: Cell, same_model: Iterable[RateCard], card: RateCard | None) -> tuple[RateCard, ...]:
    """The other card rows of the model: the account's own first, then the general ones, then the rest."""
    account = cell.account
    rest = [other for other in same_model if other is not card]
    return tuple(sorted(rest, key=lambda other: (other.account != account, other.account != "", other.card_id)))


def _metered(
    groups: Sequence[AttemptGroup], classes: Sequence[TokenClass], cards: Mapping[str, RateCard]
) -> tuple[int, Decimal]:
    """Tokens and exact cost of the metered attempts, in those classes."""
    quantity, cost = 0, Decimal(0)
    for group in groups:
        if not group.metered:
            continue
        for token_class in classes:
            tokens = group.tokens.of(token_class)
            unit = cards[group.card_id].unit_price(token_class) if tokens else None
            if unit is not None:
                quantity, cost = quantity + tokens, EXACT.add(cost, EXACT.multiply(unit, Decimal(tokens)))
    return quantity, cost


def check_cost(group: AttemptGroup, cards: Mapping[str, RateCard]) -> None:
    """The store's arithmetic must be the domain's; a group that cannot be priced must not be called priced."""
    if not group.metered or group.tokens.input_total + group.tokens.output_total == 0:
        return
    if group.card_id not in cards:
        raise CardMissing(f"attempts of {group.provider}/{group.model} on {group.day} were rated by {group.card_id!r}")
    ours = price(group.tokens, cards[group.card_id]).amount
    if group.cost_usd is not None and ours != group.cost_usd:
        raise IdentityBroken(
            f"{group.provider}/{group.account} {group.model} {group.day}: the store says {plain(group.cost_usd)}, "
            f"tokens times card {group.card_id} is {plain(ours)}"
        )
