"""`tollway query`: read-only SQL on the store, as the reader, who can neither write nor leave the database."""

import sys
from typing import Annotated

import typer

from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import read


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("query", help="Run a read-only SQL query on the store (database tollway).")(query)


def query(
    sql: Annotated[str, typer.Argument(help="The query; - reads it from standard input.")],
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Print the rows of a query: a table, or with --json a list of objects."""
    from deploy.store_access import reader

    settings = read(config)
    text = sys.stdin.read() if sql == "-" else sql
    result = reader(settings).query(text.strip().rstrip(";"))
    if as_json:
        emit_json([dict(zip(result.column_names, row, strict=True)) for row in result.result_rows])
    elif result.column_names:
        emit_rows(result.column_names, result.result_rows)
    else:
        say("tollway: no rows")
