"""What an attempt did cost, in dollars, by the card in force at its start. An unknown price is None, not zero."""

from datetime import UTC, datetime
from decimal import Decimal

from gateway.domain.attempt import Intent
from gateway.domain.rate_card import RateBook, Unpriced, price
from gateway.domain.usage import Usage


def spent_usd(intent: Intent, usage: Usage, cards: RateBook) -> Decimal | None:
    """What that usage of an attempt costs; None where no card in dollars prices all of it."""
    at = datetime.fromtimestamp(intent.started_at / 1e9, UTC)
    card = cards.in_force(provider=intent.provider, account=intent.account, model=intent.model, at=at)
    if card is None or card.currency != "USD":
        return None
    try:
        return price(usage, card).amount
    except Unpriced:
        return None
