"""Named SQL: one file, one statement, one function to run it.

`load` reads `sql/queries/NAME.sql`; its parameters are ClickHouse's own `{name:Type}` placeholders, bound by the
server, so a value is never text of the statement. `fetch` and `afetch` give a polars frame in which Decimal stays
Decimal, DateTime64 is UTC, and low-cardinality text is plain String. Nothing here builds SQL from values, retries, or
caches rows.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient
    from clickhouse_connect.driver.client import Client

_COMMENT = re.compile(r"--[^\n]*")
_PARAM = re.compile(r"\{(\w+):([^{}]+)\}")

FETCH_SETTINGS = {
    "session_timezone": "UTC",
    "output_format_arrow_string_as_string": "1",
    "output_format_arrow_low_cardinality_as_dictionary": "0",
    "output_format_arrow_compression_method": "none",
    "output_format_arrow_date_as_uint16": "0",
    "output_format_arrow_fixed_string_as_fixed_byte_array": "0",
}
"""Each setting that shapes an Arrow answer, said out loud: their defaults have moved between versions."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement and the file it came from."""

    name: str
    """The file's name without `.sql`."""
    text: str

    @property
    def params(self) -> dict[str, str]:
        """Parameter name to ClickHouse type, as the statement declares them; comments do not count."""
        return dict(_PARAM.findall(_COMMENT.sub("", self.text)))

    def check(self, given: Mapping[str, object]) -> None:
        """Raise TypeError, naming the file, unless exactly the declared parameters are given."""
        declared = self.params.keys()
        if declared != given.keys():
            missing = ", ".join(sorted(declared - given.keys())) or "none"
            unknown = ", ".join(sorted(given.keys() - declared)) or "none"
            raise TypeError(f"{self.name}.sql takes {sorted(declared)}: missing {missing}; unknown {unknown}")


@cache
def load(name: str) -> Statement:
    """The statement in `sql/queries/NAME.sql`. Raises FileNotFoundError when there is no such file."""
    return Statement(name, files("sql").joinpath("queries", f"{name}.sql").read_text("utf-8"))


def fetch(client: "Client", name: str, **params: object) -> pl.DataFrame:
    """The rows of a SELECT file.

    A Decimal has 38 digits at most here: a statement whose sum is wider casts it. Raises TypeError for missing or
    unknown parameters, DatabaseError from the server.
    """
    statement = load(name)
    statement.check(params)
    return _frame(client.query_arrow(statement.text, parameters=bind(statement, params), settings=_settings(client)))


async def afetch(client: "AsyncClient", name: str, **params: object) -> pl.DataFrame:
    """`fetch` over the async client."""
    statement = load(name)
    statement.check(params)
    return _frame(
        await client.query_arrow(statement.text, parameters=bind(statement, params), settings=_settings(client))
    )


def execute(client: "Client", name: str, **params: object) -> None:
    """Run a file that is not a SELECT (INSERT SELECT, ALTER, TRUNCATE ...), and wait for its end."""
    statement = load(name)
    statement.check(params)
    client.command(statement.text, parameters=bind(statement, params))


def columns(client: "Client", name: str, **params: object) -> dict[str, str]:
    """Column name to ClickHouse type of what a SELECT file returns, in order, without running it."""
    statement = load(name)
    statement.check(params)
    described = client.query(f"DESCRIBE TABLE (\n{statement.text}\n)", parameters=bind(statement, params))
    return {row[0]: row[1] for row in described.result_rows}


def bind(statement: Statement, params: Mapping[str, object]) -> dict[str, object]:
    """Values as the server's parameter parser reads them.

    An instant becomes UTC text with its microseconds, whatever the process's time zone; the placeholder's own type must
    say 'UTC'. Raises TypeError for a naive datetime, which has no instant, and for a float where the placeholder is not
    a Float.
    """
    declared = statement.params
    return {name: _literal(f"{statement.name}.sql {name}", declared[name], value) for name, value in params.items()}


def _literal(place: str, declared: str, value: object) -> object:
    match value:
        case datetime():
            if value.tzinfo is None:
                raise TypeError(f"{place}: {value!r} has no time zone; give an aware datetime")
            return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        case bool():
            return "1" if value else "0"
        case Decimal():
            return format(value, "f")
        case float() if "Float" in declared:
            return repr(value)
        case float():
            raise TypeError(f"{place}: {value!r} is a float and the placeholder {declared}; give a Decimal or an int")
        case date():
            return value.isoformat()
        case str() | int() | None:
            return value
        case Sequence():
            return [_literal(place, declared, item) for item in value]
        case _:
            raise TypeError(f"{place}: {type(value).__name__} is not a value ClickHouse takes here")


def _settings(client: "Client | AsyncClient") -> dict[str, str]:
    """FETCH_SETTINGS, but for those the server does not know or does not let this user change."""
    known = client.server_settings
    return {name: value for name, value in FETCH_SETTINGS.items() if name in known and not known[name].readonly}


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a Table is never a Series
    return frame.with_columns(
        pl.col(pl.Categorical).cast(pl.String),
        # The client drops UTC from timestamps (its tz_mode is naive_utc); every instant here is UTC.
        *(
            pl.col(column).dt.replace_time_zone("UTC")
            for column, kind in frame.schema.items()
            if isinstance(kind, pl.Datetime) and kind.time_zone is None
        ),
    )
