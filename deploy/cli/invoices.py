"""`tollway invoices`: what vendors counted, what it costs by their reports, and what they ask to be paid."""

import os
import random
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import exits
from deploy.cli.finance import month_or_current
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_pairs, emit_rows, say
from deploy.settings import Settings, read
from gateway.domain import clock

if TYPE_CHECKING:
    from analytics.invoices import Import

Provider = Annotated[str, typer.Option("--provider", help="As in the configuration's upstreams, e.g. openai.")]
Account = Annotated[str, typer.Option("--account", help="The billed account, as in the configuration's upstreams.")]

Wanted = Annotated[
    str, typer.Argument(metavar="ID", help="An import's id, or its first six characters; or an invoice's number.")
]

KEY_ENV = "OPENAI_ADMIN_KEY"

invoices = typer.Typer(help="Vendors' usage, cost reports and invoices.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the subcommands."""
    app.add_typer(invoices, name="invoices")


@invoices.command("import", help="Import a vendor's file; the format is told from its content.")
def import_invoice(
    file: Annotated[Path, typer.Argument(help="The vendor's file.")],
    provider: Provider,
    account: Account,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="A YAML file that says what the table's columns mean.")
    ] = None,
    organization: Annotated[
        str, typer.Option("--organization", help="Take only this billing account's rows of a file that has several.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would land; change nothing.")] = False,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Import one file; the same file again changes nothing, a newer one for the same days supersedes."""
    from analytics.invoices import import_file, preview_file
    from analytics.invoices.formats.mapped import importer_of
    from analytics.invoices.importer import of_organization
    from analytics.invoices.mapping import load
    from analytics.invoices.sniff import kind_of
    from deploy.store_access import writer

    settings = read(config)
    known_account(settings, provider, account)
    importer = kind_of(file) if mapping is None else importer_of(load(mapping))
    if organization:
        importer = of_organization(importer, organization)
    client = writer(settings)
    if dry_run:
        done = preview_file(client, file, provider=provider, account=account, importer=importer)
    else:
        now = clock.utc_now()
        done = import_file(client, file, provider=provider, account=account, now=now, importer=importer)
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


@invoices.command("list", help="Every import: what stands, what was superseded, what is void.")
def list_imports(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Newest first."""
    from analytics.invoices import books
    from deploy.store_access import reader

    found = books.imports(reader(read(config))).to_dicts()
    if as_json:
        emit_json(found)
        return
    rows = [
        (
            one["import_id"][:12],
            f"{one['provider']}/{one['account']}",
            one["document"],
            ", ".join(one["invoice_ids"]) or f"{one['first_day']} to {one['last_day']}",
            one["lines"],
            f"{one['total']} {one['currency']}" if one["currency"] else "-",
            one["state"],
            one["file_name"],
        )
        for one in found
    ]
    emit_rows(("import", "account", "document", "covers", "lines", "total", "state", "file"), rows)


@invoices.command("show", help="One import: where it came from, what it holds, whether it stands.")
def show_import(wanted: Wanted, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """The newest load of it."""
    from analytics.invoices import books
    from deploy.store_access import reader

    client = reader(read(config))
    one = books.find(client, wanted).row(0, named=True)
    held = books.contents(client, one["load_id"]).to_dicts()
    if as_json:
        emit_json({**one, "contents": held})
        return
    emit_pairs({name: value for name, value in one.items() if value not in ("", [])})
    columns = ("charge_category", "token_class", "invoice_status", "lines", "quantity", "amount")
    emit_rows(columns, [tuple(line[name] for name in columns) for line in held])


@invoices.command("void", help="Take an import out of the books. It is kept; what it had replaced stands again.")
def void_import(
    wanted: Wanted,
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with it.")],
    config: Config = DEFAULT_CONFIG,
) -> None:
    """Nothing is deleted."""
    from analytics.invoices import books
    from deploy.store_access import writer

    if not reason.strip():
        raise typer.BadParameter("say why it is void", param_hint="--reason")
    for one in books.void(writer(read(config)), wanted, reason=reason, now=clock.utc_now()).iter_rows(named=True):
        say(f"tollway: {one['file_name']} of {one['provider']}/{one['account']} ({one['import_id'][:12]}) is void")


@invoices.command("add", help="Enter an invoice by hand: its number and totals, where the vendor has no file of it.")
def add(
    provider: Provider,
    account: Account,
    invoice_id: Annotated[str, typer.Option("--invoice-id", help="The vendor's number of it.")],
    month: Annotated[str, typer.Option("--month", help="UTC month that it bills, YYYY-MM.")],
    amount: Annotated[str, typer.Option("--amount", help="USD for what was used, before tax, fee and credit.")],
    tax: Annotated[str, typer.Option("--tax", help="USD.")] = "0",
    fee: Annotated[str, typer.Option("--fee", help="USD.")] = "0",
    credit: Annotated[str, typer.Option("--credit", help="USD that lower what is to be paid; without sign.")] = "0",
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """One of the same number is replaced; the same again changes nothing."""
    from analytics.invoices import books
    from analytics.invoices.formats.entered_invoice import EnteredInvoice
    from analytics.invoices.values import decimal_of
    from deploy.store_access import writer

    settings = read(config)
    known_account(settings, provider, account)
    try:
        totals = {"amount": amount, "tax": tax, "fee": fee, "credit": credit}
        read_as = {name: decimal_of(text) for name, text in totals.items()}
        entered = EnteredInvoice(invoice_id=invoice_id, month=month_or_current(month, clock.utc_now()), **read_as)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    done = books.add_invoice(writer(settings), entered, provider=provider, account=account, now=clock.utc_now())
    show(done, f"invoice {invoice_id}", as_json=as_json)


@invoices.command("fetch", help="Fetch a report of OpenAI's Costs or Usage API, and import it.")
def fetch(
    provider: Provider,
    account: Account,
    since: Annotated[str, typer.Option("--from", help="First UTC day, YYYY-MM-DD.")],
    until: Annotated[str, typer.Option("--to", help="UTC day behind the last one; today at most.")],
    report: Annotated[str, typer.Option("--report", help="costs, or usage (of completions).")] = "costs",
    key_env: Annotated[
        str, typer.Option("--key-env", help="The environment variable that has the admin key.")
    ] = KEY_ENV,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Where the API is; OpenAI's own if not given.")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Pages are kept in data_dir/invoices; a fetch that ended early goes on where it stopped."""
    from analytics.invoices import import_file
    from analytics.invoices.openai_api import BASE_URL, Ask, OpenAI, Report
    from deploy.store_access import writer

    settings, now = read(config), clock.utc_now()
    known_account(settings, provider, account)
    if provider != "openai" and base_url is None:
        raise typer.BadParameter("only openai's API is known; give --base-url for one that is like it")
    if report not in tuple(Report):
        raise typer.BadParameter(f"{report!r} is neither costs nor usage", param_hint="--report")
    days = _day(since, "--from"), _day(until, "--to")
    if not days[0] < days[1] <= now.date():
        raise typer.BadParameter(
            f"days from {days[0]} to {days[1]}: give whole UTC days that are over", param_hint="--to"
        )
    key = os.environ.get(key_env, "")
    if not key:
        say(f"tollway: the environment has no {key_env}; it needs an admin key of the organization")
        raise typer.Exit(exits.USAGE)
    folder = settings.data_dir / "invoices"
    ask = Ask(report=Report(report), account=account, since=days[0], until=days[1], folder=folder)
    with OpenAI(
        key, base_url=base_url or BASE_URL, clock=clock.utc_now, draw=random.random, sleep=time.sleep
    ) as vendor:
        path = vendor.fetch(ask)
    done = import_file(
        writer(settings), path, provider=provider, account=account, now=clock.utc_now(), importer=ask.importer
    )
    show(done, path.name, as_json=as_json)


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a day such as 2026-11-30", param_hint=option) from None
