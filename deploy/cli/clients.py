"""`tollway clients`: who calls what; `tollway contract`: the surface in use, frozen and checked."""

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import exits
from deploy.cli.moments import moment
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.contract.checking import Break
from deploy.contract.surface import Use
from deploy.settings import read
from gateway.config import RoutingConfig
from gateway.domain import clock
from gateway.domain.ids import UpstreamId

Since = Annotated[str, typer.Option("--since", help="An age (30d, 12h, 45m), or a date or time in UTC.")]
Tenants = Annotated[list[str] | None, typer.Option("--tenant", help="Only this tenant; may be given several times.")]
File = Annotated[Path, typer.Argument(help="The contract's file.")]

contract = typer.Typer(help="The surface that clients use, frozen to a file, and whether it still holds.")


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.command("clients", help="Who calls what: tenant, user agent, route, streaming, tool format; counts, last use.")(
        clients
    )
    app.add_typer(contract, name="contract", no_args_is_help=True)


def clients(
    since: Since = "30d", tenant: Tenants = None, config: Config = DEFAULT_CONFIG, as_json: Json = False
) -> None:
    """List who calls what, from the store."""
    from deploy.store_access import reader
    from sql import fetch

    at = moment(since, clock.utc_now())
    frame = fetch(reader(read(config)), "clients", since=at, tenants=tenant or [])
    if as_json:
        emit_json(frame.to_dicts())
    else:
        emit_rows(frame.columns, frame.rows())


@contract.command("freeze", help="Write the surface in use (tenants, aliases, routes, streaming, tool formats).")
def freeze(file: File, since: Since = "30d", tenant: Tenants = None, config: Config = DEFAULT_CONFIG) -> None:
    """Write the surface in use to a file; exit 1 where there was no traffic."""
    from deploy.contract.surface import write
    from deploy.store_access import reader
    from sql import fetch

    now = clock.utc_now()
    at = moment(since, now)
    rows = fetch(reader(read(config)), "surface_in_use", since=at, tenants=tenant or []).to_dicts()
    if not rows:
        say(f"tollway: no traffic since {at:%Y-%m-%dT%H:%M:%SZ}, nothing to freeze; give an earlier --since")
        raise typer.Exit(exits.FAILURE)
    write(file, rows, since=at, now=now)
    say(f"tollway: {len(rows)} uses since {at:%Y-%m-%dT%H:%M:%SZ} frozen in {file}")


@contract.command("check", help="Whether a configuration still serves a frozen surface. Exit 3 if not.")
def check(
    file: File,
    config: Config = DEFAULT_CONFIG,
    probe: Annotated[bool, typer.Option("--probe", help="Also ask each upstream for its models.")] = False,
    as_json: Json = False,
) -> None:
    """List each thing that would break; exit 3 if there is one."""
    from deploy.contract.checking import breaks
    from deploy.contract.surface import as_dict
    from deploy.contract.surface import read as read_contract

    uses = read_contract(file)
    routing = read(config).routing()
    broken = breaks(uses, routing)
    gone = _gone(routing, uses) if probe else []
    if as_json:
        listed = [{"use": as_dict(b.use), "place": b.place, "problem": b.problem} for b in broken]
        emit_json({"ok": not broken and not gone, "uses": len(uses), "broken": listed, "upstreams": gone})
    elif broken or gone:
        emit_rows(("who", "where", "what"), [*map(_row, broken), *(("", g["place"], g["problem"]) for g in gone)])
    if broken or gone:
        say(f"tollway: {len(broken) + len(gone)} things would break what clients do today")
        raise typer.Exit(exits.CHECK_FAILED)
    say(f"tollway: all {len(uses)} uses still hold")


def _row(one: Break) -> tuple[str, str, str]:
    return (str(one.use), one.place, one.problem)


def _gone(routing: RoutingConfig, uses: list[Use]) -> list[dict[str, str]]:
    """What upstreams no longer have of what stands behind those uses."""
    from deploy.contract.checking import rungs_of
    from deploy.contract.probing import probe

    needed: dict[str, set[str]] = {}
    for use in uses:
        for rung in rungs_of(use, routing):
            needed.setdefault(rung.upstream, set()).add(rung.model)
    found = []
    for told in probe(routing.upstreams[UpstreamId(name)] for name in sorted(needed)):
        if told.problem:
            found.append({"place": told.place, "problem": told.problem})
        elif told.models is None:
            say(f"tollway: {told.place} does not list its models; it was not checked")
        else:
            missing = sorted(needed[told.upstream] - told.models)
            found += [{"place": told.place, "problem": f"the model {model} is gone"} for model in missing]
    return found
