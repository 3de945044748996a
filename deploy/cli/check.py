"""`tollway check`: is this configuration usable? Starts nothing, calls nobody."""

from typing import Annotated, Any

import typer

from deploy import running_gateway
from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.offers import lacking
from deploy.settings import Settings, read
from deploy.tls import require_usable
from gateway.config import ConfigError, Fault
from gateway.domain import clock


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("check", help="Check a configuration; every fault is listed with its place. Exit 3 if there is one.")(
        check
    )


def check(
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
    reload: Annotated[
        bool, typer.Option("--reload", help="If it is usable, have the running gateway read it.")
    ] = False,
) -> None:
    """List the faults of a configuration, or what it says in short; with --reload, what changed in the gateway."""
    try:
        settings = read(config)
        require_usable(settings)
    except ConfigError as error:
        faults = [{"path": fault.path, "problem": fault.problem} for fault in error.faults]
        if as_json:
            emit_json({"ok": False, "config": error.source, "faults": faults})
        else:
            say(f"tollway: {error}")
        raise typer.Exit(exits.CHECK_FAILED) from None
    routing = settings.routing()
    lacks = lacking(routing, clock.utc_now())
    reloaded = running_gateway.reload(settings) if reload else None
    if as_json:
        emit_json(
            {
                "ok": not lacks,
                "config": str(settings.path),
                "faults": [{"path": fault.path, "problem": fault.problem} for fault in lacks],
                "aliases": sorted(routing.aliases),
                "tenants": sorted(routing.tenants),
                "rate_cards": [card.card_id for card in routing.rate_cards.cards],
                "hints": never_reached(settings),
                "client_base_url": routing.client_base_url,
                **({"reload": reloaded} if reloaded else {}),
            }
        )
        _end(lacks)
        return
    rows = [
        (name, alias.tier, " > ".join(f"{t.upstream}/{t.model}" for t in alias.targets), len(alias.fallback))
        for name, alias in sorted(routing.aliases.items())
    ]
    emit_rows(("alias", "tier", "targets", "rungs below"), rows)
    for hint in never_reached(settings):
        say(f"tollway: {hint}")
    if reloaded is not None:
        _tell(reloaded)
    for fault in lacks:
        say(f"tollway: {fault}")
    _end(lacks)
    say(f"tollway: {settings.path} is usable")


def _end(lacks: list[Fault]) -> None:
    if lacks:
        say(f"tollway: it runs, and {len(lacks)} things that its aliases lack would be missing from the books")
        raise typer.Exit(exits.CHECK_FAILED)


def _tell(reloaded: dict[str, Any]) -> None:
    say(f"tollway: reload: {reloaded['result']}; the gateway serves by {reloaded['hash']}")
    for place in reloaded["changed"]:
        say(f"  changed: {place}")
    for place in reloaded["next_start"]:
        say(f"  {place}: holds from the gateway's next start on")


def never_reached(settings: Settings) -> list[str]:
    """Times that a tier's total timeout cuts short, where the file gives them: usable, and seldom meant."""
    return [
        f"tiers.{tier.name}.{name}: {getattr(tier, name):g} s is more than total_timeout_s "
        f"({tier.total_timeout_s:g} s), which ends the request before"
        for tier in settings.file.tiers.values()
        for name in ("max_queue_seconds", "first_token_timeout_s", "answer_timeout_s")
        if name in tier.model_fields_set and (getattr(tier, name) or 0) > tier.total_timeout_s
    ]
