"""`tollway costs`: what each alias and tenant cost, all kinds beside each other."""

from dataclasses import asdict
from typing import Annotated

import typer

from analytics.hosts.idle_rule import IdleRule
from deploy.cli.finance import Month
from deploy.cli.hosts import Since, Until, hosts_of, say_what_is_missing, window_of
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import read
from gateway.domain import clock

Idle = Annotated[IdleRule, typer.Option("--idle", help="How hosts' idle time is shared among who kept them busy.")]
Wasted = Annotated[bool, typer.Option("--waste", help="What bought nothing, by cause: rework and dual spend.")]
OWNER = ("tenant", "alias", "tier", "fallback_depth", "fallback_reason")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("costs", help="What each alias and tenant cost: tokens, time in line, rework, hosts, idle time.")(costs)


def costs(
    month: Month = None,
    since: Since = None,
    until: Until = None,
    idle: Idle = IdleRule.NONE,
    waste: Wasted = False,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """List costs by tenant, alias, tier, fallback depth and reason; only billed cost is ever reconciled."""
    from analytics.economic.gather import costs_in
    from analytics.economic.table import COLUMNS, whole
    from analytics.hosts.focus import allocated
    from deploy.store_access import reader

    settings, now = read(config), clock.utc_now()
    window = window_of(month, since, until, now)
    client, hosts = reader(settings), hosts_of(settings)
    prices = {name: tier.queue_second_usd for name, tier in settings.file.tiers.items()}
    found = costs_in(client, window, hosts=hosts, queue_second_usd=prices, idle_rule=idle, now=now)
    if as_json:
        emit_json({
            "since": window.since, "until": min(window.until, now), "idle": idle,
            "owners": [{**asdict(owner), **asdict(cost)} for owner, cost in found.by_owner.items()],
            "total": asdict(whole(found.by_owner.values())), "unpriced": found.unpriced,
            "allocated": [
                {**row.columns, "charge": row.charge, "usd": row.usd} for row in allocated(found.parts)
            ],
            "waste": [{**asdict(each.owner), "kind": each.kind, "cause": each.cause, "attempts": each.attempts,
                       "usd": each.usd, "unmeasured": each.unmeasured} for each in found.wastes],
        })  # fmt: skip
    elif waste:
        emit_rows(
            (*OWNER, "kind", "cause", "attempts", "usd", "unmeasured"),
            [(*asdict(w.owner).values(), w.kind, w.cause, w.attempts, w.usd, w.unmeasured) for w in found.wastes],
        )
    else:
        rows = [(*asdict(owner).values(), *asdict(cost).values()) for owner, cost in found.by_owner.items()]
        emit_rows((*OWNER, *COLUMNS), rows)
    if floors := sum(each.unmeasured for each in found.wastes):
        say(f"tollway: of {floors} attempts that bought nothing no final usage is known, so their cost is a floor")
    if found.unpriced:
        say(f"tollway: {found.unpriced} attempts have no price, so token_cost is a floor: add a card (`tollway rates`)")
    say_what_is_missing(client, hosts, window)
