"""A month of requests told twice: as rows of the vendor's own ledger, and as our attempts, each by its own rules.

Both come from one list of requests, and nothing else is shared: the vendor prices by its list, we by our cards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

from analytics.reconciliation import AttemptGroup, BilledRow
from deploy.demo.vendor import ledger
from deploy.demo.vendor.invoice import Line
from deploy.demo.vendor.settings import Model
from gateway.domain.attempt import Outcome
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import Completeness, Usage
from tests.analytics import landed as landing
from tests.analytics.recon_builders import CACHED, IN, OUT, card

FIRST = date(2026, 11, 1)
ASKED = {"mini-2024-07-18": "mini", "large-2025-04-14": "large"}
PRICES = {
    "mini": ("mini-2024-07-18", "0.15", "0.075", "0.60"),
    "large": ("large-2025-04-14", "2.50", "1.25", "10"),
}
MODELS = {
    name: Model(snapshot, dict(zip(("input", "cached input", "output"), map(Decimal, prices), strict=True)))
    for name, (snapshot, *prices) in PRICES.items()
}
WRONG_PRICE, TIER_PRICE = Decimal("0.66"), Decimal("1.20")
CARDS: list[RateCard] = [
    card(model="mini"),
    card({IN: "2.50", CACHED: "1.25", OUT: "10"}, model="large"),
    card({OUT: str(WRONG_PRICE)}, model="mini", account="org-eu"),
    card({OUT: str(TIER_PRICE)}, model="mini", processing_tier="priority"),
]
CLASSES = {"input": IN, "cached input": CACHED, "output": OUT, "": "other"}


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it really went."""

    at: datetime
    model: str
    tokens: tuple[int, int, int]
    """Input, cached input, output."""
    end: str = "ok"
    """ok, cancelled (the client left), broken (the vendor's stream broke), silent (its usage never reached us)."""


def day(number: int) -> date:
    """A day of the month."""
    return FIRST + timedelta(days=number - 1)


def requests(seed: int = 7) -> Iterator[Request]:
    """Four a day of each model, the last after 23:00; on days 19, 21 and 27 one that ends otherwise."""
    random = Random(seed)
    for number in range(1, 31):
        for model in MODELS:
            for hour in (2, 9, 16, 23):
                at = datetime.combine(day(number), datetime.min.time(), UTC) + timedelta(hours=hour, minutes=7)
                yield Request(
                    at, model, (random.randint(9_000, 90_000), random.randint(1_000, 8_000), random.randint(900, 9_000))
                )
        for special, end in ((19, "cancelled"), (21, "broken"), (27, "silent")):
            if number == special:
                at = datetime.combine(day(number), datetime.min.time(), UTC) + timedelta(hours=12)
                yield Request(at, "mini", (5_000, 0, 400), end)


_CAUSES = {"cancelled": ledger.Cause.CLIENT_DISCONNECT, "broken": ledger.Cause.STREAM_BROKEN}
_ENDS = {
    "ok": (Outcome.OK, Completeness.MEASURED),
    "cancelled": (Outcome.CANCELLED, Completeness.ESTIMATED),
    "broken": (Outcome.ERROR, Completeness.ESTIMATED),
    "silent": (Outcome.OK, Completeness.UNKNOWN),
}


def ledger_row(number: int, request: Request) -> ledger.Row:
    """The request in the vendor's books."""
    model = MODELS[request.model]
    tokens = dict(zip(("input", "cached input", "output"), request.tokens, strict=True))
    return ledger.Row(
        number=number,
        request_id=f"request-{number}",
        response_id=f"response-{number}",
        received_at=request.at,
        project_id="project",
        api_key_id="key",
        model=model.snapshot,
        cause=_CAUSES.get(request.end, ledger.Cause.COMPLETED),
        tokens=tokens,
        billed=ledger.charge(tokens, model),
    )


def attempt(number: int, request: Request) -> AttemptGroup:
    """The request in ours."""
    outcome, completeness = _ENDS[request.end]
    uncached, cached, output = request.tokens
    usage = Usage(input_uncached=uncached, cache_read=cached, output=output)
    rated = next(card for card in CARDS if card.model == request.model)
    return AttemptGroup(
        provider="openai",
        account="org-main",
        model=request.model,
        day=request.at.date(),
        outcome=outcome,
        completeness=completeness,
        card_id=rated.card_id,
        tokens=Usage() if completeness is Completeness.UNKNOWN else usage,
        request_bytes=20_000,
        output_ceiling=1_000,
        attempt_ids=(f"request-{number}",),
    )


def landed(request: Request) -> dict[str, object]:
    """The request as the collector would have landed it."""
    outcome, completeness = _ENDS[request.end]
    uncached, cached, output = request.tokens
    usage = Usage(input_uncached=uncached, cache_read=cached, output=output)
    return landing.attempt(
        request.at,
        outcome=outcome,
        completeness=completeness,
        usage=Usage() if completeness is Completeness.UNKNOWN else usage,
        model=request.model,
        response_model=MODELS[request.model].snapshot,
        request_bytes=20_000,
        max_output_tokens=1_000,
        http_status=200,
    )


def billed(number: int, line: Line, booked: Decimal = Decimal(1)) -> BilledRow:
    """A line of the vendor's as a row; what is to be paid in another currency at the rate of the books."""
    plain = BilledRow(
        provider="openai",
        account="org-main",
        day=line.day,
        model=ASKED.get(line.model, line.model),
        token_class=str(CLASSES[line.token_class]),
        quantity=line.tokens if line.token_class else None,
        amount=line.amount,
        scale=6,
        import_id="file",
        row=number,
        category=line.category,
        correction=line.corrects,
        processing_tier=line.tier,
        identity=f"{line.line_item}/{line.project_id}/{line.api_key_id}",
    )
    if line.currency == "USD":
        return plain
    return replace(plain, amount=(line.amount * line.rate).quantize(Decimal("0.000001")) * booked, priced=line.amount)
