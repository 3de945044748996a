"""`tollway`: the subcommands, and the one place where an error becomes a line on stderr and an exit code."""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from deploy.cli import exits
from deploy.cli.output import say

OUR_PARTS = frozenset({"gateway", "collector", "analytics", "dashboards", "sql", "deploy"})
"""An error class of our own is written for an operator; any other that gets here is a bug and keeps its traceback."""

app = typer.Typer(
    name="tollway",
    help="The routing plane for LLM traffic whose invoices reconcile.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tollway {version('tollway')}")
        raise typer.Exit


@app.callback()
def _root(
    show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """The routing plane for LLM traffic whose invoices reconcile."""


def whole() -> typer.Typer:
    """The command with all its subcommands. Once a process."""
    from deploy.cli import (
        accounts,
        aliases,
        audit,
        check,
        clients,
        costs,
        demo,
        doctor,
        finance,
        hosts,
        imports,
        invoices,
        period,
        query,
        rates,
        replay,
        serve,
        up,
    )

    for module in (
        up,
        demo,
        serve,
        check,
        aliases,
        doctor,
        query,
        audit,
        finance,
        period,
        invoices,
        hosts,
        costs,
        accounts,
        clients,
        replay,
        imports,
        rates,
    ):
        module.register(app)
    return app


def run() -> None:
    """The entry point: run a subcommand; end with its exit code."""
    try:
        whole()()
    except Exception as error:  # noqa: BLE001 - the outermost edge: what is not understood is still one line
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    """One line for an error an operator can act on; a bug keeps its traceback."""
    import errno

    from gateway.config import ConfigError

    if isinstance(error, ConfigError):
        say(f"tollway: {error}")
        return exits.USAGE
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        say(f"tollway: the disk is full ({error.filename or 'while writing'}); make room and start again")
        return exits.FAILURE
    if isinstance(error, OSError):
        say(f"tollway: {error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        return exits.FAILURE
    if isinstance(error, ModuleNotFoundError):
        say(f"tollway: the package {error.name!r} is missing; run `make install`")
        return exits.FAILURE
    if type(error).__module__.partition(".")[0] in OUR_PARTS:
        say(f"tollway: {error}")
        return exits.FAILURE
    if type(error).__module__.startswith("clickhouse_connect"):
        say(f"tollway: the store: {str(error).splitlines()[0][:500]}")
        return exits.FAILURE
    raise error
