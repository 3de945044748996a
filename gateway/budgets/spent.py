"""What an attempt did cost, in dollars, by the card in force at its start for what the vendor says that it used: the
processing tier, the model's snapshot, the length of the prompt. An unknown price is None, not zero.
"""

from datetime import UTC, datetime
from decimal import Decimal

from gateway.domain.attempt import Attempt
from gateway.domain.rate_card import RateBook, Unpriced, price, processing_tier


def spent_usd(attempt: Attempt, cards: RateBook) -> Decimal | None:
    """What the attempt's usage costs; None where no card in dollars prices all of it."""
    intent, usage = attempt.intent, attempt.usage
    card = cards.in_force(
        provider=intent.provider,
        account=intent.account,
        model=intent.model,
        at=datetime.fromtimestamp(intent.started_at / 1e9, UTC),
        tier=processing_tier(attempt.service_tier),
        region=intent.region,
        deployment=intent.deployment,
        snapshot=attempt.response_model,
        modality=usage.modality,
        prompt_tokens=usage.input_total,
    )
    if card is None or card.currency != "USD":
        return None
    try:
        return price(usage, card).amount
    except Unpriced:
        return None
