"""`tollway period`: the close, step by step, each in the name of whoever's token it is; a client of the finance API."""

from typing import Annotated, Any

import typer

from deploy.cli import exits
from deploy.cli.finance import Month, month_or_current
from deploy.cli.finance_client import ApiRefused, ask
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_pairs, emit_rows, say
from deploy.settings import read
from gateway.domain import clock

period = typer.Typer(help="Close a month: provision, invoice, match, sign, review, close.", no_args_is_help=True)

STEPS = {
    "provision": "Accrue the month from our own ledger.",
    "invoice": "Say that its invoices are in; refused while an account with metered cost has none.",
    "match": "Reconcile it; takes a preparer's signature back.",
    "sign": "Sign its figures as the preparer. Exit 4, with the blockers, while something is in the way.",
    "review": "Sign the same figures as another person than the preparer.",
    "close": "Freeze it: its pack never changes again.",
}


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(period, name="period")
    for name, words in STEPS.items():
        period.command(name, help=words)(_step(name))


@period.command("status", help="Where a month stands and what is in its way. Exit 4 while something is.")
def status(month: Month = None, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Ask the API."""
    found = ask(read(config), "GET", f"/periods/{month_or_current(month, clock.utc_now())}")
    if as_json:
        emit_json(found)
    else:
        emit_pairs(_shown(found) | found["totals"])
    if found["blockers"]:
        _say_blockers(found["blockers"])
        raise typer.Exit(exits.OUTSIDE_TOLERANCE)


@period.command("reopen", help="Open a month again; of closed ones only the last. The reason is kept.")
def reopen(
    reason: Annotated[str, typer.Option("--reason", help="Why; it goes into the audit trail.")],
    month: Month = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Take the step."""
    _take("reopen", month, config, as_json, reason)


@period.command("exceptions", help="What no explanation settles: which line, by how much, what is known, who has it.")
def exceptions(month: Month = None, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Ask the API, page by page."""
    settings, wanted = read(config), month_or_current(month, clock.utc_now())
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = ask(settings, "GET", f"/exceptions?month={wanted}&limit=1000&cursor={cursor}")
        rows, cursor = [*rows, *page["rows"]], page["next"]
    names = ("exception_id", "variance_class", "amount", "billing_account_id", "day", "model", "token_class")
    if as_json:
        emit_json(rows)
    else:
        columns = (*names, "owner", "note", "evidence_ref")
        emit_rows(columns, [[row[name] or "" for name in columns] for row in rows])


@period.command("note", help="Give an exception an owner and a note, while the month is not signed.")
def note(
    exception_id: Annotated[str, typer.Argument(help="As `tollway period exceptions` shows it.")],
    owner: Annotated[str, typer.Option("--owner", help='Who looks into it; "" = nobody.')] = "",
    words: Annotated[str, typer.Option("--note", help="What was found out.")] = "",
    month: Month = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Both are replaced; the audit trail keeps what they were."""
    wanted = month_or_current(month, clock.utc_now())
    found = ask(read(config), "PUT", f"/exceptions/{wanted}/{exception_id}", {"owner": owner, "note": words})
    if as_json:
        emit_json(found)
    else:
        emit_pairs(found)


@period.command("audit", help="Who took which step of a month, when, and at which totals.")
def audit(month: Month = None, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Ask the API."""
    rows = ask(read(config), "GET", f"/periods/{month_or_current(month, clock.utc_now())}/audit?limit=1000")["rows"]
    if as_json:
        emit_json(rows)
    else:
        columns = ("number", "at", "actor", "action", "figures", "reason")
        emit_rows(
            columns,
            [
                (
                    *(row[name] for name in columns[:4]),
                    row["detail"].get("figures_sha256", "")[:12],
                    row["detail"].get("reason", ""),
                )
                for row in rows
            ],
        )


def _step(name: str) -> Any:
    def command(month: Month = None, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
        _take(name, month, config, as_json)

    return command


def _take(name: str, month: str | None, config: Any, as_json: bool, reason: str = "") -> None:
    wanted = month_or_current(month, clock.utc_now())
    try:
        moved = ask(read(config), "POST", f"/periods/{wanted}/{name}", {"reason": reason})
    except ApiRefused as refused:
        if not refused.error["blockers"]:
            raise
        if as_json:
            emit_json({"error": refused.error})
        _say_blockers(refused.error["blockers"])
        say(f"tollway: {wanted} cannot {name} while that is so")
        raise typer.Exit(exits.OUTSIDE_TOLERANCE) from None
    if as_json:
        emit_json(moved)
    else:
        emit_pairs(_shown(moved))


def _say_blockers(blockers: list[dict[str, str]]) -> None:
    for blocker in blockers:
        say(f"tollway: {blocker['kind']}: {blocker['message']}")


def _shown(found: dict[str, Any]) -> dict[str, object]:
    names = {"prepared": "prepared", "reviewed": "reviewed"}
    signed = {name: f"by {each['by']} at {each['at']}" if (each := found[name]) else "no" for name in names}
    return {
        "month": found["month"],
        "state": found["state"],
        **signed,
        "closed_at": found["closed_at"] or "no",
        "pack_sha256": found["pack_sha256"] or "none",
    }
