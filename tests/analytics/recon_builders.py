"""Values for the tests of analytics: each builder gives a valid one, of which a test changes what it is about."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

from analytics.reconciliation import AttemptGroup, BilledRow
from gateway.domain.attempt import Outcome
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import Completeness, TokenClass, Usage

DAY = date(2026, 11, 3)
MODEL = "gpt-4o-mini"
IN, CACHED, OUT = TokenClass.INPUT_UNCACHED, TokenClass.CACHE_READ, TokenClass.OUTPUT


def card(
    prices: Mapping[TokenClass, str] | None = None,
    *,
    model: str = MODEL,
    account: str = "",
    since: str = "2023-01-01",
    until: str | None = None,
    provider: str = "openai",
    processing_tier: str = "",
) -> RateCard:
    """gpt-4o-mini at 0.15 / 0.075 / 0.60 USD per million, in force since 2023."""
    given = prices if prices is not None else {IN: "0.15", CACHED: "0.075", OUT: "0.60"}
    return RateCard(
        provider=provider,
        model=model,
        account=account,
        processing_tier=processing_tier,
        currency="USD",
        effective_from=instant(since),
        effective_to=instant(until) if until else None,
        per_million={token_class: Decimal(text) for token_class, text in given.items()},
    )


def instant(text: str) -> datetime:
    """A date or an ISO instant, in UTC."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def billed(
    amount: str,
    quantity: int | None,
    token_class: str = OUT,
    *,
    scale: int | None = None,
    model: str = MODEL,
    account: str = "org-main",
    day: date = DAY,
    row: int = 1,
    reason: str = "",
    **changes: object,
) -> BilledRow:
    """One billed row of output tokens; the scale is that of the amount unless given."""
    exponent = Decimal(amount).as_tuple().exponent
    assert isinstance(exponent, int)
    plain = BilledRow(
        provider="openai",
        account=account,
        day=day,
        model=model,
        token_class=str(token_class),
        quantity=quantity,
        amount=Decimal(amount),
        scale=-exponent if scale is None else scale,
        import_id="file-1",
        row=row,
        reason=reason,
    )
    return replace(plain, **changes)  # type: ignore[arg-type] # a test names fields that BilledRow has


def group(
    outcome: Outcome | str = Outcome.OK,
    completeness: Completeness | str = Completeness.MEASURED,
    tokens: Usage | None = None,
    *,
    rated: RateCard | None = None,
    attempts: int = 1,
    request_bytes: int = 4_000,
    output_ceiling: int = 500,
    model: str = MODEL,
    account: str = "org-main",
    day: date = DAY,
    priced: bool = True,
    ids: tuple[str, ...] = (),
    processing_tier: str = "",
    region: str = "",
) -> AttemptGroup:
    """Attempts that ended well with their usage measured, rated by `rated` (default: `card()`)."""
    return AttemptGroup(
        provider="openai",
        account=account,
        model=model,
        day=day,
        outcome=Outcome(outcome),
        completeness=Completeness(completeness),
        priced=priced,
        processing_tier=processing_tier,
        region=region,
        card_id=(rated or card()).card_id,
        attempts=attempts,
        tokens=tokens or Usage(),
        request_bytes=request_bytes,
        output_ceiling=output_ceiling,
        attempt_ids=ids,
    )
