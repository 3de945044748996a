"""`tollway reconcile`, `export`: the month, from what was imported to the signed CSVs."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import read
from gateway.domain import clock
from gateway.domain.money import plain

if TYPE_CHECKING:
    from analytics.reconciliation.summary import Reconciliation

Month = Annotated[str | None, typer.Option("--month", help="UTC month, YYYY-MM; the current one if not given.")]

packs = typer.Typer(help="Write a month's pack for finance, or verify one.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.command("reconcile", help="Tie a month's invoices to what was metered. Exit 4 if something is unexplained.")(
        reconcile
    )
    app.add_typer(packs, name="export")


def reconcile(month: Month = None, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show the month's variance by class; every cent has one."""
    from analytics.reconciliation import reconcile_month
    from deploy.store_access import writer

    now = clock.utc_now()
    wanted = month_or_current(month, now)
    settings = read(config)
    policy = settings.file.reconciliation.policy()
    result = reconcile_month(writer(settings), wanted, now=now, policy=policy)
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
    for words in missing_of(result):
        say(f"tollway: {words}")
    if result.unexplained_gross:
        way = f"`tollway export --month {result.month} --out DIR` writes which lines (recon_exceptions.csv)"
        amount = plain(result.unexplained_gross)
        say(f"tollway: {amount} USD of {result.month} is unexplained, over and under added up; {way}")
        raise typer.Exit(exits.OUTSIDE_TOLERANCE)


def missing_of(result: "Reconciliation") -> Iterator[str]:
    """In words, for each account, what keeps its month from being whole: an invoice, prices, final usage."""
    for one in result.accounts:
        name = f"{one.provider}/{one.account}"
        if result.import_ids and one.status == "no_invoice" and one.metered:
            yield f"{name} has {plain(one.metered)} USD metered and no invoice: `tollway invoices import`"
        if one.unpriced:
            yield f"{one.unpriced} attempts of {name} have no price, so metered is a floor: add a rate card"


@packs.callback()
def export(
    context: typer.Context,
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder to write into; made if it is not there. Required.")
    ] = None,
    month: Month = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Write the month's pack: of a closed month what it was frozen with, of any other what the facts say now."""
    if context.invoked_subcommand:
        return
    if out is None:
        raise typer.BadParameter("name the folder to write into", param_hint="--out")
    from analytics.exports import write
    from deploy.close import close_of
    from deploy.control import control

    now = clock.utc_now()
    wanted = month_or_current(month, now)
    settings = read(config)
    made = close_of(settings, control(settings)).pack(wanted, now=now)
    files = [str(path) for path in write(made, out)]
    if as_json:
        emit_json({"month": made.month, "files": files, "manifest_sha256": made.sha256})
    else:
        emit_rows(("file",), [(path,) for path in files])


@packs.command("verify", help="Check a pack with nothing but the pack. Exit 3 with what is wrong.")
def verify(
    folder: Annotated[Path, typer.Argument(help="The pack's folder.")],
    previous: Annotated[
        Path | None, typer.Option("--previous", help="The folder of the pack before it: the chain is checked too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hashes, sums between the files, and the chain."""
    from analytics.pack_check import check

    faults = check(folder, previous)
    if as_json:
        emit_json({"verified": not faults, "faults": [{"file": f.file, "words": f.words} for f in faults]})
    for fault in faults:
        say(f"tollway: {fault.file} {fault.words}")
    if faults:
        raise typer.Exit(exits.CHECK_FAILED)
    say(f"tollway: the pack in {folder} is whole: every file is as it was written, and every total agrees")


def month_or_current(month: str | None, now: datetime) -> str:
    """The month asked for, or the current UTC one where none was. Raises typer.BadParameter for another form."""
    if month is None:
        return f"{now:%Y-%m}"
    if re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", month) is None:
        raise typer.BadParameter(f"{month!r} is not a month; write YYYY-MM", param_hint="--month")
    return month
