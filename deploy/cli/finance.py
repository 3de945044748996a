"""`tollway reconcile`, `export`: the month, from what was imported to the signed CSVs."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import read
from gateway.domain import clock

Month = Annotated[str | None, typer.Option("--month", help="UTC month, YYYY-MM; the current one if not given.")]


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.command("reconcile", help="Tie a month's invoices to what was metered. Exit 4 if something is unexplained.")(
        reconcile
    )
    app.command("export", help="Write a month's reconciliation CSVs and their manifest.")(export)


def reconcile(month: Month = None, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show the month's variance by class; every cent has one."""
    from analytics.reconciliation import reconcile_month
    from deploy.store_access import writer

    now = clock.utc_now()
    wanted = month_or_current(month, now)
    result = reconcile_month(writer(read(config)), wanted, now=now)
    classes = {str(name): amount for name, amount in result.by_class.items()}
    if as_json:
        emit_json(
            {
                "month": result.month,
                "metered_usd": result.metered,
                "invoiced_usd": result.invoiced,
                "variance_by_class": classes,
                "unexplained_usd": result.unexplained,
                "unexplained_gross_usd": result.unexplained_gross,
            }
        )
    else:
        rows = [("metered", result.metered), *classes.items(), ("invoiced", result.invoiced)]
        emit_rows((result.month, "USD"), rows)
    if not result.import_ids:
        say(f"tollway: no invoice of {wanted} was imported, so there is nothing to tie the metered cost to")
    if result.unexplained_gross:
        say(f"tollway: {result.unexplained_gross:f} USD of {result.month} is unexplained, over and under added up")
        raise typer.Exit(exits.OUTSIDE_TOLERANCE)


def export(
    out: Annotated[Path, typer.Option("--out", help="The folder to write into; made if it is not there.")],
    month: Month = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Write the three CSVs and manifest.json; two runs over the same facts give the same bytes."""
    from analytics.exports import write_month
    from deploy.store_access import writer

    now = clock.utc_now()
    wanted = month_or_current(month, now)
    manifest = write_month(writer(read(config)), wanted, out, now=now)
    files = [str(path) for path in manifest.paths]
    if as_json:
        emit_json({"month": manifest.month, "files": files})
    else:
        emit_rows(("file",), [(path,) for path in files])


def month_or_current(month: str | None, now: datetime) -> str:
    """The month asked for, or the current UTC one where none was. Raises typer.BadParameter for another form."""
    if month is None:
        return f"{now:%Y-%m}"
    if re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month) is None:
        raise typer.BadParameter(f"{month!r} is not a month; write YYYY-MM", param_hint="--month")
    return month
