"""The store as the lander sees it. Foreign errors become outcomes, or StoreDown, here and only here.

A connection is made when it is needed and thrown away when it fails; the password is asked for anew each time, so a
store that is started later, or again, is found. Not thread-safe.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

import polars as pl
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

import sql
from collector.batches import Batch
from collector.ledger import OpenBatch
from collector.ledger_rows import LedgerRow
from collector.otlp import span_key
from collector.verdicts import Counted, Inserted, InsertOutcome, Rows, Uncertain, insert_outcome
from sql import landing
from sql.fitness import Unfit
from sql.placement import DATABASE

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

FAILURES = (ClickHouseError, HTTPError, OSError, Unfit)
REASON_CHARACTERS = 500

Answer = TypeVar("Answer")


class StoreDown(Exception):
    """The store did not answer a question; ask again later."""


class ClickHouseStore:
    """One connection to the store, made again whenever it breaks."""

    def __init__(
        self,
        connect: "Callable[[], Client]",
        *,
        facts: str = DATABASE,
        quorum: str = "",
        examine: "Callable[[Client], None]" = lambda _: None,
    ) -> None:
        """`facts` is the database that has what is landed on this server, `quorum` is landing.insert's.

        `examine` raises what says that this server is not fit to be landed in.
        """
        self._connect = connect
        self._facts = facts
        self._quorum = quorum
        self._examine = examine
        self._fit = False
        self._client: Client | None = None

    def insert(self, batch: OpenBatch, otlp: bytes) -> InsertOutcome:
        """Insert one batch under its token, and say what is known of it; never raises for what the store does."""
        try:
            landing.insert(
                self._connected(),
                otlp,
                batch_id=batch.batch.batch_id,
                sender=batch.batch.sender,
                tenant=batch.batch.tenant or "",
                received_at_ms=batch.batch.received_ms,
                token=batch.token,
                query_id=batch.token,
                quorum=self._quorum,
                own=batch.batch.own,
            )
        except FAILURES as error:
            outcome = insert_outcome(getattr(error, "code", None), _reason(error))
            if isinstance(outcome, Uncertain):
                self.close()
            return outcome
        return Inserted()

    def count(self, batch: OpenBatch) -> tuple[Counted, bool]:
        """What there is of the batch, and whether an insert of it runs still. Raises StoreDown.

        What is there whole is there, whatever runs. Else it is asked the other way round: an insert that ends between
        the two questions is seen running, or counted.
        """
        found = self.found(batch.batch)
        if found.spans == batch.batch.rows:
            return found, False
        running = self.runs(batch)
        return self.found(batch.batch), running

    def found(self, batch: Batch) -> Counted:
        """What there is of the batch. Raises StoreDown."""
        given = {"facts": self._facts, "batch_id": batch.batch_id}
        rows = self.ask(lambda client: sql.fetch(client, "collector_count_batch", **given)).rows()
        return Counted({tenant: spans for tenant, spans, _ in rows}, sum(claimed for _, _, claimed in rows))

    def runs(self, batch: OpenBatch) -> bool:
        """Whether an insert of the batch runs still on this server. Raises StoreDown."""
        return self.ask(lambda client: _one(sql.fetch(client, "collector_running_queries", query_id=batch.token))) > 0

    def span_keys(self, *, since_ms: int) -> list[bytes]:
        """The keys of all spans received since then, whoever sent them. Raises StoreDown."""
        since = datetime.fromtimestamp(since_ms / 1000, UTC)
        frame = self.ask(lambda client: sql.fetch(client, "collector_span_keys", since=since))
        return [span_key(bytes.fromhex(trace_id), bytes.fromhex(span_id)) for trace_id, span_id in frame.iter_rows()]

    def count_batches(self, batch_ids: Sequence[str]) -> dict[str, Rows]:
        """What this server has of each; one without rows is missing. Raises StoreDown."""
        given = {"facts": self._facts, "batch_ids": list(batch_ids)}
        frame = self.ask(lambda client: sql.fetch(client, "replay_count_batches", **given))
        return {str(batch_id): Rows(int(spans), int(hidden)) for batch_id, spans, hidden in frame.iter_rows()}

    def swap_batches(self, new: Mapping[str, str], *, received_ms: int) -> None:
        """Show hidden rows in the place of old ones, whose names are given by the new, received on that day.

        Raises StoreDown; then it may be done, or be under way.
        """
        given = {"facts": self._facts, "day": _day(received_ms), "old": list(new.values()), "new": list(new)}
        self.ask(lambda client: sql.execute(client, "replay_swap", **given))

    def delete_batches(self, batch_ids: Sequence[str], *, received_ms: int) -> None:
        """Delete the rows of batches received on that moment's day. Raises StoreDown."""
        given = {"facts": self._facts, "day": _day(received_ms), "batch_ids": list(batch_ids)}
        self.ask(lambda client: sql.execute(client, "replay_delete_batches", **given))

    def record_replaced(self, replaced: Mapping[str, str], *, now_ms: int) -> None:
        """Tell who derives from the facts that old rows gave way to new: their names, by the new. Raises StoreDown."""
        given = {
            "batch_ids": list(replaced),
            "replaced": list(replaced.values()),
            "now": datetime.fromtimestamp(now_ms / 1000, UTC),
        }
        self.ask(lambda client: sql.execute(client, "replay_record", **given))

    def tell(self, rows: Sequence[LedgerRow], *, spool: str, now_ms: int) -> None:
        """Tell the store what the ledger of that spool has; a row told twice counts once. Raises StoreDown."""
        told_at = datetime.fromtimestamp(now_ms / 1000, UTC)
        told = [
            {**asdict(row), "at": datetime.fromtimestamp(row.segment / 1000, UTC), "spool": spool, "told_at": told_at}
            for row in rows
        ]
        columns, values = list(told[0]), [list(one.values()) for one in told]
        self.ask(lambda client: client.insert("ingest_ledger", values, column_names=columns, database=DATABASE))

    def close(self) -> None:
        """Give the connection back; the next may lead to another server."""
        client, self._client = self._client, None
        self._fit = False
        if client is not None:
            client.close()

    def _connected(self) -> "Client":
        if self._client is None:
            self._client = self._connect()
        if not self._fit:
            self._examine(self._client)
            self._fit = True
        return self._client

    def ask(self, question: "Callable[[Client], Answer]") -> Answer:
        """What the server says to a question. Raises StoreDown."""
        try:
            return question(self._connected())
        except FAILURES as error:
            self.close()
            raise StoreDown(_reason(error)) from None


def _day(received_ms: int) -> str:
    return datetime.fromtimestamp(received_ms / 1000, UTC).date().isoformat()


def _one(frame: pl.DataFrame) -> int:
    return int(frame.item())


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:REASON_CHARACTERS]}"
