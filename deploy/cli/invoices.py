"""`tollway invoices`: what vendors counted, what it costs by their reports, and what they ask to be paid."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_pairs, emit_rows, say
from deploy.settings import Settings, read
from gateway.domain import clock

if TYPE_CHECKING:
    from analytics.invoices import Import

Provider = Annotated[str, typer.Option("--provider", help="As in the configuration's upstreams, e.g. openai.")]
Account = Annotated[str, typer.Option("--account", help="The billed account, as in the configuration's upstreams.")]

invoices = typer.Typer(help="Vendors' usage, cost reports and invoices.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(invoices, name="invoices")


@invoices.command("import", help="Import a vendor's file; the format is told from its content.")
def import_invoice(
    file: Annotated[Path, typer.Argument(help="The vendor's file.")],
    provider: Provider,
    account: Account,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would land; change nothing.")] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Import one file; the same file again changes nothing, a newer one for the same days supersedes."""
    from analytics.invoices import import_file, preview_file
    from deploy.store_access import writer

    settings = read(config)
    known_account(settings, provider, account)
    client = writer(settings)
    if dry_run:
        done = preview_file(client, file, provider=provider, account=account)
    else:
        done = import_file(client, file, provider=provider, account=account, now=clock.utc_now())
    show(done, file.name, as_json=as_json)
    if dry_run:
        say("tollway: a dry run; nothing was changed")


def known_account(settings: Settings, provider: str, account: str) -> None:
    """End with exit 2, naming those there are, unless an upstream of the configuration is billed so."""
    known = sorted({(upstream.provider, upstream.account) for upstream in settings.file.upstreams.values()})
    if (provider, account) not in known:
        choices = ", ".join(f"--provider {p} --account {a}" for p, a in known)
        say(f"tollway: no upstream has provider {provider!r} with account {account!r}; configured: {choices}")
        raise typer.Exit(exits.USAGE)


def show(done: "Import", name: str, *, as_json: bool) -> None:
    """Tell what landed, or would."""
    for note in done.notes:
        say(f"tollway: {name} {note}")
    kinds = [(kind, currency, kind_sum) for (kind, currency), kind_sum in sorted(done.by_category.items())]
    if as_json:
        emit_json(
            {
                "import_id": done.import_id,
                "format": done.file_format,
                "document": done.document.value,
                "lines": done.lines,
                "total": done.total,
                "currency": done.currency,
                "days": [day.isoformat() for day in done.days],
                "invoices": list(done.invoice_ids),
                "by_category": [
                    {"category": kind, "currency": currency, "lines": one.lines, "amount": one.amount}
                    for kind, currency, one in kinds
                ],
                "left_out": dict(done.left_out),
                "already_imported": done.repeated,
                "notes": list(done.notes),
            }
        )
        return
    emit_pairs(
        {
            "import_id": done.import_id,
            "format": done.file_format,
            "document": done.document.value,
            "lines": done.lines,
            "total": done.total,
            "currency": done.currency or "none: it has no amounts",
            "days": f"{done.days[0]} to {done.days[-1]}",
            **({"invoices": ", ".join(done.invoice_ids)} if done.invoice_ids else {}),
            **({f"left out: {reason}": count for reason, count in done.left_out.items()}),
            "already_imported": done.repeated,
        }
    )
    if kinds:
        emit_rows(
            ("category", "currency", "lines", "amount"),
            [(kind, currency or "-", one.lines, one.amount if currency else "-") for kind, currency, one in kinds],
        )
