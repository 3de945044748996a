"""`tollway accounts`: who may use the finance API. These commands work on the control database itself, so they are for
whoever runs the installation: who can write that database needs no leave of its accounts. Each change is in the audit
trail, under the name of the login that made it. Passwords and tokens are shown once and taken from no command line.
"""

import getpass
from typing import Annotated

import typer

from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_pairs, emit_rows, say
from deploy.settings import read
from gateway.domain import clock

accounts = typer.Typer(help="Who may use the finance API.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The account's name.")]


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.add_typer(accounts, name="accounts")


@accounts.command("add", help="Make an account; its password is shown once.")
def add(
    name: Name,
    role: Annotated[
        list[str], typer.Option("--role", help="finance, finance_approver, sre, admin or tenant:NAME; may be repeated.")
    ],
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Make it, with the roles given."""
    from analytics.accounts import book, roles
    from deploy.control import control

    try:
        roles.checked(role)
    except roles.RoleInvalid as error:
        raise typer.BadParameter(str(error), param_hint="--role") from None
    with control(read(config)).transaction() as connection:
        password = book.add(connection, name, role, by=operator(), now=clock.utc_now())
    _shown({"account": name, "password": password}, as_json)
    say("tollway: the password is shown this once; `tollway accounts token` makes what the API takes")


@accounts.command("list", help="Every account with its roles; disabled ones too.")
def show(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Show them; no secret is kept that could be shown."""
    from analytics.accounts import book
    from deploy.control import control

    with control(read(config)).transaction() as connection:
        found = book.accounts(connection)
    if as_json:
        emit_json(
            [{"name": a.name, "roles": a.roles, "made_at": a.made_at, "disabled_at": a.disabled_at} for a in found]
        )
    else:
        rows = [(a.name, " ".join(a.roles), a.made_at, a.disabled_at or "") for a in found]
        emit_rows(("account", "roles", "made_at", "disabled_at"), rows)


@accounts.command("disable", help="No password and no token of the account works any more.")
def disable(name: Name, config: Config = DEFAULT_CONFIG) -> None:
    """Disable it for good."""
    from analytics.accounts import book
    from deploy.control import control

    with control(read(config)).transaction() as connection:
        book.disable(connection, name, by=operator(), now=clock.utc_now())


@accounts.command("token", help="Make a token of the account for the API; it is shown once.")
def token(
    name: Name,
    days: Annotated[float, typer.Option("--days", help="How long it is good for.")] = 30,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Issue it."""
    from analytics.accounts import book
    from deploy.control import control

    with control(read(config)).transaction() as connection:
        made = book.issue(connection, name, days=days, by=operator(), now=clock.utc_now())
    if as_json:
        emit_json({"account": name, "token": made})
    else:
        typer.echo(made)
    say("tollway: the token is shown this once; give it as TOLLWAY_TOKEN, or in a file as TOLLWAY_TOKEN_FILE")


def operator() -> str:
    """Who makes changes here, as the audit trail names them."""
    return f"operator:{getpass.getuser()}"


def _shown(pairs: dict[str, object], as_json: bool) -> None:
    if as_json:
        emit_json(pairs)
    else:
        emit_pairs(pairs)
