"""What an attempt did cost, in dollars, by the card in force at its start for the processing tier that the vendor says
it used. An unknown price is None, not zero.
"""

from datetime import UTC, datetime
from decimal import Decimal

from gateway.domain.attempt import Attempt
from gateway.domain.rate_card import RateBook, Unpriced, price, processing_tier


def spent_usd(attempt: Attempt, cards: RateBook) -> Decimal | None:
    """What the attempt's usage costs; None where no card in dollars prices all of it."""
    intent, tier = attempt.intent, processing_tier(attempt.service_tier)
    at = datetime.fromtimestamp(intent.started_at / 1e9, UTC)
    card = cards.in_force(provider=intent.provider, account=intent.account, model=intent.model, at=at, tier=tier)
    if card is None or card.currency != "USD":
        return None
    try:
        return price(attempt.usage, card).amount
    except Unpriced:
        return None
