"""`tollway hosts`: what each machine cost, busy and idle."""

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli.finance import Month, month_or_current
from deploy.cli.moments import moment
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import Settings, read
from gateway.domain import clock
from gateway.domain.host import Host

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from analytics.windows import Window

Since = Annotated[str | None, typer.Option("--since", help="Instead of a month: an age (7d), a date or time (UTC).")]
Until = Annotated[str | None, typer.Option("--until", help="With --since: an age, a date or time (UTC); else now.")]
COLUMNS = (
    *("host", "hardware", "rented_minutes", "busy_minutes", "idle_minutes", "attempts", "rent_usd", "power_usd"),
    *("egress_bytes", "egress_usd", "idle_usd", "total_usd"),
)


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("hosts", help="What each host cost in a month or a range: rent, power, egress; busy and idle minutes.")(
        hosts
    )


def hosts(
    month: Month = None,
    since: Since = None,
    until: Until = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """List the hosts of the configuration."""
    from analytics.hosts.costs import host_costs
    from deploy.store_access import reader

    settings, now = read(config), clock.utc_now()
    window = window_of(month, since, until, now)
    known = hosts_of(settings)
    client = reader(settings)
    costs = host_costs(client, known, window, now=now)
    if as_json:
        emit_json({"since": window.since, "until": min(window.until, now), "hosts": [asdict(cost) for cost in costs]})
    else:
        emit_rows(COLUMNS, [
            (
                cost.host, cost.hardware, *(round(minutes, 3) for minutes in
                (cost.rented_minutes, cost.busy_minutes, cost.idle_minutes)), cost.attempts, cost.rent_usd,
                cost.power_usd, cost.sent_bytes, cost.egress_usd, cost.idle_usd, cost.total_usd,
            )
            for cost in costs
        ])  # fmt: skip
    if not known:
        say("tollway: the configuration names no hosts; with their rent under `hosts` this says what they cost")
    say_what_is_missing(client, known, window)


def hosts_of(settings: Settings) -> list[Host]:
    """The hosts of the configuration, by name."""
    entries = settings.file.hosts
    return [entries[name].host() for name in sorted(entries)]


def window_of(month: str | None, since: str | None, until: str | None, now: datetime) -> "Window":
    """The month or the range that was asked for. Raises typer.BadParameter."""
    from analytics.windows import Window, begun_month

    if since is None:
        if until is not None:
            raise typer.BadParameter("goes with --since", param_hint="--until")
        return begun_month(month_or_current(month, now), now=now)
    if month is not None:
        raise typer.BadParameter("give a month or a range, not both", param_hint="--since")
    try:
        return Window(moment(since, now), moment(until, now) if until else now)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from None


def say_what_is_missing(client: "Client", known: Iterable[Host], window: "Window") -> None:
    """Words for attempts on hosts that the configuration does not name any more."""
    from analytics.hosts.costs import unknown_hosts

    for name, attempts in unknown_hosts(client, known, window).items():
        say(
            f"tollway: {attempts} attempts ran on host {name!r}, which hosts does not name: what it cost is in no row; "
            "keep a host in the file and end its rent with effective_to"
        )
