"""`tollway rates`: price lists of others are read, compared with the book, and approved; nothing else sets a price."""

import hashlib
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.moments import moment
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.errors import OperatorError
from deploy.settings import Settings, read
from gateway.config import Target
from gateway.config.cards import CLASS_NAMES
from gateway.domain import clock
from gateway.domain.card_file import CardFile, encode_card, newest, together
from gateway.domain.rate_card import RateBook, RateCard
from gateway.domain.usage import TokenClass

rates = typer.Typer(help="Rate cards: import, compare, approve.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(rates, name="rates")


def configured(settings: Settings) -> tuple[RateCard, ...]:
    """The cards that the configuration file itself writes."""
    return tuple(entry.card() for entry in settings.file.rate_cards)


@rates.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="genai-prices, litellm, openrouter or csv")],
    file: Annotated[Path | None, typer.Argument(help="The file; genai-prices needs none.")] = None,
    effective_from: Annotated[
        str,
        typer.Option(
            "--effective-from", help="From when the prices hold: a date, a time or an age; else from the approval."
        ),
    ] = "",
    every: Annotated[bool, typer.Option("--all", help="Every model there, not only those of your targets.")] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Read a price list; it waits for `rates approve` and prices nothing until then."""
    from analytics.rates import genai, sources
    from analytics.rates.proposal import Proposal

    settings = read(config)
    now = clock.utc_now().replace(microsecond=0)
    readers = {"litellm": sources.litellm, "openrouter": sources.openrouter, "csv": sources.csv_rows}
    if kind != "genai-prices" and (kind not in readers or file is None):
        raise typer.BadParameter(f"give one of genai-prices, {', '.join(readers)}, and the file of all but the first")
    content = file.read_bytes() if file else b""
    name, sha256 = genai.release() if not file else (f"{kind} {file.name}", hashlib.sha256(content).hexdigest())
    asked = sources.Asked(
        source=name,
        captured_at=now,
        sha256=sha256,
        effective_from=moment(effective_from, now) if effective_from else now,
        names=None if every else frozenset(targets(settings)),
    )
    cards, skipped = genai.genai(asked) if not file else readers[kind](content, asked)
    RateBook(cards)
    proposal = Proposal(name, now, sha256, tuple(cards), tuple(skipped), at_approval=not effective_from)
    if cards:
        proposal.save(settings.rates_dir)
    priced = {(card.provider, card.model) for card in cards}
    missing = sorted(f"{provider}/{model}" for provider, model in (asked.names or frozenset()) - priced)
    if as_json:
        left_out = [{"model": one.model, "why": one.why} for one in skipped]
        emit_json({"source": name, "sha256": sha256, "cards": len(cards), "skipped": left_out, "missing": missing})
    for one in skipped:
        say(f"tollway: not taken: {one.model}: {one.why}")
    for each in missing:
        say(f"tollway: {name} has no price of {each}")
    if not cards:
        raise OperatorError(f"{name} has no card that could be taken, so what waited for approval waits still")
    say(
        f"tollway: {len(cards)} cards of {name} wait; `tollway rates diff` shows what they change and how to approve it"
    )


@rates.command("diff")
def diff(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Every price that approving would change, add or close."""
    from analytics.rates.approval import differences
    from analytics.rates.proposal import pending

    settings = read(config)
    proposal = pending(settings.rates_dir)
    found = differences(RateBook(together(configured(settings), newest(settings.rates_dir))), proposal)
    rows = [
        (change.what, name_of(change.card), CLASS_NAMES[change.token_class], _or_none(change.old), _or_none(change.new),
         "" if change.percent is None else f"{change.percent:+f}%", change.card.effective_from, change.source)
        for change in found
    ]  # fmt: skip
    columns = ("what", "card", "class", "old", "new", "percent", "effective_from", "source")
    if as_json:
        emit_json({"fingerprint": proposal.fingerprint, "changes": [dict(zip(columns, r, strict=True)) for r in rows]})
        return
    emit_rows(columns, rows)
    way = f"tollway rates approve {proposal.fingerprint[:12]} --by NAME"
    say(f"tollway: {len(found)} prices differ; approve these with `{way}`")
    gone = sum(change.what == "removed" for change in found)
    if gone:
        say(f"tollway: {gone} of them would be known no more; what uses one is unpriced from then on, never free")


@rates.command("approve")
def approve(
    fingerprint: Annotated[str, typer.Argument(help="What `rates diff` named: so that nothing else is approved.")],
    by: Annotated[str, typer.Option("--by", help="Who approves.")],
    restate: Annotated[str, typer.Option("--restate", help="Why prices of the past change.")] = "",
    close_removed: Annotated[bool, typer.Option("--close-removed", help="End what the source no longer has.")] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Make the pending prices the book's next version. The gateway and the worker take it up by themselves."""
    from analytics.rates import approval
    from analytics.rates.proposal import FILE, pending

    settings = read(config)
    proposal = pending(settings.rates_dir)
    if len(fingerprint) < 8 or not proposal.fingerprint.startswith(fingerprint):
        raise OperatorError(
            f"what waits is {proposal.fingerprint[:12]}, not {fingerprint}: look at `tollway rates diff`"
        )
    now = clock.utc_now().replace(microsecond=0)
    made = approval.approve(
        configured(settings), newest(settings.rates_dir), proposal, actor=by.strip() or _nobody(), now=now,
        restate=restate.strip(), close_gone=close_removed,
    )  # fmt: skip
    path = made.write(settings.rates_dir)
    (settings.rates_dir / FILE).unlink(missing_ok=True)
    if as_json:
        emit_json(_told(made) | {"path": str(path)})
    say(f"tollway: version {made.version} of the book, {made.sha256[:16]}, is {path}")


@rates.command("list")
def list_(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """The cards in force, and those to come."""
    settings, now = read(config), clock.utc_now()
    book = _book(settings)
    cards = [card for card in book.cards if card.effective_to is None or card.effective_to > now]
    if as_json:
        emit_json({**_version(settings), "cards": [{"card_id": card.card_id, **encode_card(card)} for card in cards]})
        return
    shown = (TokenClass.INPUT_UNCACHED, TokenClass.CACHE_READ, TokenClass.OUTPUT)
    rows = [
        (name_of(card), card.currency, *(_or_none(card.per_million.get(one)) for one in shown), card.effective_from,
         card.kind, _origin(card))
        for card in cards
    ]  # fmt: skip
    emit_rows(("card", "currency", "input", "cache_read", "output", "effective_from", "kind", "from"), rows)


@rates.command("show")
def show(
    card: Annotated[str, typer.Argument(help="A card's id, or how it begins: provider/model.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """All that is known of a card, its closed rows too, as JSON."""
    settings = read(config)
    found = [one for one in _book(settings).cards if one.card_id.startswith(card)]
    if not found:
        raise OperatorError(f"no rate card begins with {card!r}; `tollway rates list` has them")
    emit_json({**_version(settings), "cards": [{"card_id": one.card_id, **encode_card(one)} for one in found]})


def targets(settings: Settings) -> set[tuple[str, str]]:
    """(provider, model) of every target of the configuration."""
    return {
        (settings.file.upstreams[rung.upstream].provider, rung.model)
        for alias in settings.file.aliases.values()
        for rungs in (alias.targets, alias.fallback, *((t.targets or ()) for t in alias.tiers.values()))
        for rung in rungs
        if isinstance(rung, Target)
    }


def name_of(card: RateCard) -> str:
    """What a card prices, in a few words."""
    narrowed = (
        card.processing_tier, card.account and f"account {card.account}", card.snapshot, card.region, card.deployment,
        card.modality, card.prompt_from and f"from {card.prompt_from} tokens",
    )  # fmt: skip
    return " ".join([f"{card.provider}/{card.model}", *(str(word) for word in narrowed if word)])


def _book(settings: Settings) -> RateBook:
    return RateBook(together(configured(settings), newest(settings.rates_dir)))


def _version(settings: Settings) -> dict[str, Any]:
    current = newest(settings.rates_dir)
    return _told(current) if current else {"version": 0, "sha256": ""}


def _told(made: CardFile) -> dict[str, Any]:
    done = made.approval
    return {
        "version": made.version, "sha256": made.sha256, "approved_by": done.actor, "approved_at": done.at,
        "restate_reason": done.reason, "restated": list(done.restated),
    }  # fmt: skip


def _origin(card: RateCard) -> str:
    told = card.provenance
    return f"version {told.version}, {told.source}" if told.version else "the configuration"


def _or_none(price: object) -> object:
    return "none" if price is None else price


def _nobody() -> str:
    raise typer.BadParameter("say who approves", param_hint="--by")
