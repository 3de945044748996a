"""The store's servers made ready: none that is unfit, the schema up to date, and deduplication shown on each."""

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from deploy.errors import OperatorError
from deploy.settings import Settings
from deploy.store_access import writer_at
from gateway.domain import clock
from sql import fitness, migrate, retention
from sql.addresses import addresses
from sql.joining import join
from sql.placement import Placement


def bring_up_to_date(settings: Settings) -> list[str]:
    """Apply what the store lacks of the schema; returns the names applied, in order.

    A server that has joined the cluster first gets the tables and views that the first at store.url has. One process at
    a time does this on a machine; another waits for it.

    Raises OperatorError for a server that does not answer or is unfit, before anything is applied, and for one that is
    then seen not to deduplicate; MigrationError as sql.migrate does.
    """
    with _alone(settings.data_dir):
        return _bring_up_to_date(settings)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Whoever else brings the same store up to date from this folder is waited for."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "migrate.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bring_up_to_date(settings: Settings) -> list[str]:
    servers = [(url, shard, writer_at(settings, url)) for url, shard in _servers(settings)]
    for url, shard, client in servers:
        _require(settings, url, shard, client)
    (_, _, first), *others = servers
    applied = [f"{name} at {url}" for url, _, client in others for name in join(client, like=first)]
    applied += migrate(first, now=clock.utc_now(), placement=_placement(settings))
    for url, _, client in servers:
        changed = retention.apply(client, _retention(settings), _placement(settings))
        applied += [f"retention of {table}" + (f" at {url}" if others else "") for table in changed]
        _prove(settings, url, client)
    return applied


def refuse_unfit(settings: Settings) -> None:
    """Raise OperatorError for a server that answers and is unfit; one that does not answer may be started later.

    Where the schema is not there yet, deduplication is shown when it is.
    """
    for url, shard in _servers(settings):
        try:
            client = writer_at(settings, url)
        except (ClickHouseError, OperatorError):
            continue
        _require(settings, url, shard, client)
        try:
            _prove(settings, url, client)
        except ClickHouseError:
            continue


def examined(settings: Settings) -> list[tuple[str, str]]:
    """Each server's address, and in words why it is refused; "" = it deduplicates, as was just shown."""
    found = []
    for url, shard in _servers(settings):
        reason = ""
        try:
            client = writer_at(settings, url)
            _require(settings, url, shard, client)
            _prove(settings, url, client)
        except (ClickHouseError, OperatorError) as error:
            reason = " ".join(str(error).split())[:300]
        found.append((url, reason))
    return found


def _servers(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every server's address with its shard, those at store.url first; "" = it is none of store.shards'."""
    shard_of = {url.rstrip("/"): name for name, urls in settings.file.store.shards.items() for url in urls}
    for url in addresses(settings.store_url):
        yield url, shard_of.pop(url, "")
    yield from shard_of.items()


def _require(settings: Settings, url: str, shard: str, client: Client) -> None:
    try:
        fitness.require(client, _placement(settings), shard=shard, shards=len(settings.file.store.shards))
    except fitness.Unfit as unfit:
        raise OperatorError(f"{url}: {unfit}") from None


def _prove(settings: Settings, url: str, client: Client) -> None:
    try:
        fitness.prove(client, _placement(settings))
    except fitness.Unfit as unfit:
        raise OperatorError(f"{url}: {unfit}") from None


def _retention(settings: Settings) -> retention.Retention:
    kept = settings.file.store.retention
    return retention.Retention(
        attempts=kept.attempts_days, others=kept.events_days, ledger=kept.ledger_days, rollups=kept.rollups_days
    )


def _placement(settings: Settings) -> Placement:
    return Placement(settings.file.store.cluster)
