"""What a server that joins a cluster lacks of the schema, made as it stands on another: its tables become replicas.

The files of sql/schema cannot do it: a replica has to have the columns that its siblings have by now, not those with
which they began. Nothing that is there is changed.
"""

from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import DatabaseError

from sql.migrations import SETTINGS
from sql.statements import fetch

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

UNKNOWN_TABLE = 60


def join(client: "Client", like: "Client") -> list[str]:
    """Make on one server what another has and it lacks; returns the names made. Raises the driver's error.

    A view may stand on one that comes behind it: then it is made in a later round.
    """
    there = _made(client)
    missing = {name: making for name, making in _made(like).items() if name not in there}
    for database in sorted({name.partition(".")[0] for name in missing}):
        client.command(f"CREATE DATABASE IF NOT EXISTS {database} ENGINE = Atomic", settings=SETTINGS)
    made: list[str] = []
    while missing:
        done = [name for name, making in missing.items() if _make(client, making)]
        if not done:
            client.command(next(iter(missing.values())), settings=SETTINGS)  # Says why.
        made += done
        missing = {name: making for name, making in missing.items() if name not in done}
    return made


def _make(client: "Client", making: str) -> bool:
    """Whether it could be made; not, where what it stands on is not there yet."""
    try:
        client.command(making, settings=SETTINGS)
    except DatabaseError as error:
        if error.code != UNKNOWN_TABLE:
            raise
        return False
    return True


def _made(client: "Client") -> dict[str, str]:
    return {f"{database}.{name}": making for database, name, making in fetch(client, "schema_made").iter_rows()}
