"""A cluster as the lander sees it: each batch at its own shard, by whichever of the shard's replicas answers.

Keeper keeps a token for the whole shard, so a batch that one replica did not answer for may be sent to another under
the same token, even while the first is still at it. A replica reads back only after it has all that its shard took.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import sql
from collector.batches import Batch
from collector.ledger import OpenBatch
from collector.ledger_rows import LedgerRow
from collector.settings import Cluster
from collector.store import ClickHouseStore, StoreDown
from collector.verdicts import Counted, Declined, InsertOutcome, Rows, Uncertain
from sql import fitness
from sql.placement import DATABASE, Placement

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Answer = TypeVar("Answer")


class Shard:
    """The replicas of one shard; the one that answered last is asked first."""

    def __init__(self, replicas: Sequence[ClickHouseStore]) -> None:
        self._replicas = list(replicas)

    def insert(self, batch: OpenBatch, otlp: bytes) -> InsertOutcome:
        """As ClickHouseStore's. After an unclear answer the next replica is asked first."""
        outcome = self._replicas[0].insert(batch, otlp)
        if isinstance(outcome, Uncertain):
            self._next()
        return outcome

    def count(self, batch: OpenBatch) -> tuple[Counted, bool]:
        """As ClickHouseStore's. What runs on a replica that is not reached does not count: its token is the shard's."""
        running = any(self._runs(replica, batch) for replica in self._replicas)
        return self._first(lambda replica: self._look(replica, batch.batch)), running

    def count_batches(self, batch_ids: Sequence[str]) -> dict[str, Rows]:
        """As ClickHouseStore's, of all that the shard took."""

        def counted(replica: ClickHouseStore) -> dict[str, Rows]:
            replica.ask(lambda client: sql.execute(client, "collector_sync_replica"))
            return replica.count_batches(batch_ids)

        return self._first(counted)

    def swap_batches(self, new: Mapping[str, str], *, received_ms: int) -> None:
        """As ClickHouseStore's, on every replica."""
        self._first(lambda replica: replica.swap_batches(new, received_ms=received_ms))

    def delete_batches(self, batch_ids: Sequence[str], *, received_ms: int) -> None:
        """As ClickHouseStore's, on every replica."""
        self._first(lambda replica: replica.delete_batches(batch_ids, received_ms=received_ms))

    def close(self) -> None:
        """Give the connections back."""
        for replica in self._replicas:
            replica.close()

    @staticmethod
    def _runs(replica: ClickHouseStore, batch: OpenBatch) -> bool:
        try:
            return replica.runs(batch)
        except StoreDown:
            return False

    @staticmethod
    def _look(replica: ClickHouseStore, batch: Batch) -> Counted:
        """What there is of a batch; a replica that lacks any of it gets what its shard has first."""
        found = replica.found(batch)
        if found.spans < batch.rows:
            replica.ask(lambda client: sql.execute(client, "collector_sync_replica"))
            found = replica.found(batch)
        return found

    def _first(self, question: Callable[[ClickHouseStore], Answer]) -> Answer:
        reasons = []
        for _ in range(len(self._replicas)):
            try:
                return question(self._replicas[0])
            except StoreDown as down:
                reasons.append(str(down))
                self._next()
        raise StoreDown("no replica of the shard answers: " + "; ".join(reasons))

    def _next(self) -> None:
        self._replicas.append(self._replicas.pop(0))


class ClusterStore:
    """All shards, by their names, and an address that reads over all of them."""

    def __init__(self, over_all: ClickHouseStore, shards: Mapping[str, Shard]) -> None:
        self._over_all = over_all
        self._shards = dict(shards)

    def insert(self, batch: OpenBatch, otlp: bytes) -> InsertOutcome:
        """Insert at the batch's own shard."""
        try:
            return self._shard(batch.batch).insert(batch, otlp)
        except StoreDown as unknown:
            return Declined(str(unknown))

    def count(self, batch: OpenBatch) -> tuple[Counted, bool]:
        """What its shard has of the batch, and whether an insert of it runs still. Raises StoreDown."""
        return self._shard(batch.batch).count(batch)

    def span_keys(self, *, since_ms: int) -> list[bytes]:
        """The keys of all spans that any shard received since then. Raises StoreDown."""
        return self._over_all.span_keys(since_ms=since_ms)

    def count_batches(self, batch_ids: Sequence[str]) -> dict[str, Rows]:
        """What any shard has of each; one without rows is missing. Raises StoreDown."""
        return {name: rows for shard in self._shards.values() for name, rows in shard.count_batches(batch_ids).items()}

    def swap_batches(self, new: Mapping[str, str], *, received_ms: int) -> None:
        """Show hidden rows in the place of old ones, in every shard. Raises StoreDown."""
        for shard in self._shards.values():
            shard.swap_batches(new, received_ms=received_ms)

    def delete_batches(self, batch_ids: Sequence[str], *, received_ms: int) -> None:
        """Delete the rows of batches received on that moment's day, in every shard. Raises StoreDown."""
        for shard in self._shards.values():
            shard.delete_batches(batch_ids, received_ms=received_ms)

    def tell(self, rows: Sequence[LedgerRow], *, spool: str, now_ms: int) -> None:
        """Tell the store what the ledger of that spool has, once for all shards. Raises StoreDown."""
        self._over_all.tell(rows, spool=spool, now_ms=now_ms)

    def record_replaced(self, replaced: Mapping[str, str], *, now_ms: int) -> None:
        """Tell who derives from the facts that old rows gave way to new: their names, by the new. Raises StoreDown."""
        self._over_all.record_replaced(replaced, now_ms=now_ms)

    def close(self) -> None:
        """Give every connection back."""
        closing: Iterable[ClickHouseStore | Shard] = (self._over_all, *self._shards.values())
        for one in closing:
            one.close()

    def _shard(self, batch: Batch) -> Shard:
        shard = self._shards.get(batch.shard)
        if shard is None:
            where = f"shard {batch.shard}" if batch.shard else "one server, not for a cluster"
            raise StoreDown(
                f"batch {batch.batch_id} was begun for {where}; store.shards has no such: put it back until it landed"
            )
        return shard


def store_of(connect: "Callable[[str], Client]", url: str, cluster: Cluster | None) -> ClickHouseStore | ClusterStore:
    """The server at that address, or the cluster. A server is connected to when it is first asked, and must be fit.

    `connect` makes a writer's client of an address; it raises the driver's error, or OSError.
    """
    placement = Placement(cluster.name if cluster else "")

    def server(url: str, shard: str = "", facts: str = DATABASE) -> ClickHouseStore:
        def examine(client: "Client") -> None:
            fitness.require(client, placement, shard=shard, shards=len(cluster.shards) if cluster else 0)
            fitness.prove(client, placement)

        quorum = cluster.quorum if cluster else ""
        return ClickHouseStore(lambda: connect(url), facts=facts, quorum=quorum, examine=examine)

    if cluster is None:
        return server(url)
    shards = {
        name: Shard([server(replica, name, placement.facts) for replica in urls])
        for name, urls in cluster.shards.items()
    }
    return ClusterStore(server(url), shards)
