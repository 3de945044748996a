"""`tollway aliases`: what clients call a model, where it is served and what a million tokens cost there."""

import typer

from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows
from deploy.offers import SHOWN, Offer, offers
from deploy.settings import read
from gateway.config.cards import CLASS_NAMES
from gateway.domain import clock
from gateway.domain.usage import TokenClass

COLUMNS = ("alias", "tier", "place", "provider", "model", "region", "quantization")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("aliases", help="Each alias's rungs: provider, region, quantization, dollars per million tokens.")(
        aliases
    )


def aliases(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List every rung of every alias with the prices of the rate card in force."""
    found = list(offers(read(config).routing(), clock.utc_now()))
    if as_json:
        emit_json({"aliases": [_told(offer) for offer in found]})
        return
    names = [CLASS_NAMES[one] for one in SHOWN]
    rows = [
        (*(getattr(offer, name) or "unknown" for name in COLUMNS), *(_price(offer, one) for one in SHOWN),
         offer.card.card_id if offer.card else "none")
        for offer in found
    ]  # fmt: skip
    emit_rows((*COLUMNS, *names, "rate_card"), rows)


def _told(offer: Offer) -> dict[str, object]:
    card = offer.card
    prices = {CLASS_NAMES[one]: card.price_per_million(one) if card else None for one in TokenClass}
    said = {name: getattr(offer, name) or None for name in (*COLUMNS, "upstream")}
    return said | {
        "rate_card": card.card_id if card else None,
        "currency": card.currency if card else None,
        "price_per_million_tokens": prices,
        "rented": offer.rented,
    }


def _price(offer: Offer, token_class: TokenClass) -> object:
    if offer.card is None:
        return "rent" if offer.rented else None
    return offer.card.price_per_million(token_class)
