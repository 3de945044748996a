"""A store in memory with ClickHouse's manners: tokens, batches that land whole, and the faults that were met in it."""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from collector.ledger import OpenBatch
from collector.ledger_rows import Key, LedgerRow
from collector.otlp import read_spans, split_keys
from collector.store import StoreDown
from collector.verdicts import Counted, DataRefused, Declined, Inserted, InsertOutcome, Rows, Uncertain


class Fault(Enum):
    """What may go wrong with one insert."""

    NONE = auto()
    NO_ANSWER_STORED = auto()
    """It lands, and the answer is lost."""
    NO_ANSWER_LOST = auto()
    """The store dies before it lands."""
    TOKEN_BURNT = auto()
    """The token is remembered and the part is missing; the store says that all is well."""
    STILL_RUNNING = auto()
    """No answer, and it goes on running until `finish`."""
    NO_MEMORY = auto()
    HALF_STORED = auto()
    """What must not happen: a part of the batch lands."""


@dataclass
class PretendStore:
    """Everything that landed, and what is still to go wrong."""

    faults: deque[Fault] = field(default_factory=deque)
    refuses: Callable[[bytes], bool] = lambda _: False
    """The spans that make the store refuse a batch, by their keys."""
    down: bool = False
    away: str | None = None
    """The shard that does not answer."""
    told: dict[tuple[str, Key], LedgerRow] = field(default_factory=dict)
    """The ledger's table: the settled row in the place of the open one."""
    claims: int = 0
    """How many spans of each batch claim another tenant."""
    rows: dict[str, list[bytes]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    """Batches that are to take others' place."""
    shards: dict[str, str] = field(default_factory=dict)
    """Where each batch landed."""
    tokens: set[str] = field(default_factory=set)
    running: dict[str, tuple[OpenBatch, list[bytes]]] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    """What was told of replays: the old name by the new."""
    remembered: list[bytes] = field(default_factory=list)
    inserts: list[str] = field(default_factory=list)

    def insert(self, batch: OpenBatch, otlp: bytes) -> InsertOutcome:
        if self.down or batch.batch.shard == self.away:
            return Uncertain("connection refused")
        self.inserts.append(batch.token)
        sent = split_keys(read_spans(otlp).keys)
        if any(self.refuses(one) for one in sent):
            return DataRefused("cannot parse")
        match self.faults.popleft() if self.faults else Fault.NONE:
            case Fault.NONE:
                self._store(batch, sent)
                return Inserted()
            case Fault.NO_ANSWER_STORED:
                self._store(batch, sent)
                return Uncertain("connection reset")
            case Fault.NO_ANSWER_LOST:
                return Uncertain("connection reset")
            case Fault.TOKEN_BURNT:
                self.tokens.add(batch.token)
                return Inserted()
            case Fault.STILL_RUNNING:
                self.running[batch.token] = (batch, sent)
                return Uncertain("read timed out")
            case Fault.NO_MEMORY:
                return Declined("memory limit exceeded")
            case Fault.HALF_STORED:
                self._store(batch, sent[: len(sent) // 2])
                return Inserted()

    def count(self, batch: OpenBatch) -> tuple[Counted, bool]:
        if self.down or batch.batch.shard == self.away:
            raise StoreDown("connection refused")
        spans = len(self.rows.get(batch.batch.batch_id, []))
        by_tenant = {batch.batch.tenant or "": spans} if spans else {}
        return Counted(by_tenant, self.claims), batch.token in self.running

    def tell(self, rows: Sequence[LedgerRow], *, spool: str, now_ms: int) -> None:
        if self.down:
            raise StoreDown("connection refused")
        for row in rows:
            before = self.told.get((spool, row.key))
            if before is None or before.settled <= row.settled:
                self.told[spool, row.key] = row

    def span_keys(self, *, since_ms: int) -> list[bytes]:
        if self.down:
            raise StoreDown("connection refused")
        return [*self.remembered, *self.landed()]

    def count_batches(self, batch_ids: Sequence[str]) -> dict[str, Rows]:
        if self.down:
            raise StoreDown("connection refused")
        there = {one: len(self.rows[one]) for one in batch_ids if self.rows.get(one)}
        return {one: Rows(spans, spans if one in self.hidden else 0) for one, spans in there.items()}

    def swap_batches(self, new: Mapping[str, str], *, received_ms: int) -> None:
        if self.down:
            raise StoreDown("connection refused")
        for name, old in new.items():
            self.rows.pop(old, None)
            self.hidden.discard(name)

    def delete_batches(self, batch_ids: Sequence[str], *, received_ms: int) -> None:
        if self.down:
            raise StoreDown("connection refused")
        for one in batch_ids:
            self.rows.pop(one, None)

    def record_replaced(self, replaced: Mapping[str, str], *, now_ms: int) -> None:
        if self.down:
            raise StoreDown("connection refused")
        self.replaced |= replaced

    def close(self) -> None:
        pass

    def finish(self) -> None:
        """What still runs lands."""
        for batch, sent in self.running.values():
            self._store(batch, sent)
        self.running.clear()

    def landed(self) -> Counter[bytes]:
        """How often each span is seen there."""
        return Counter(one for name, sent in self.rows.items() if name not in self.hidden for one in sent)

    def _store(self, batch: OpenBatch, sent: list[bytes]) -> None:
        if batch.token not in self.tokens:
            self.tokens.add(batch.token)
            self.shards[batch.batch.batch_id] = batch.batch.shard
            if "~" in batch.batch.batch_id:
                self.hidden.add(batch.batch.batch_id)
            self.rows.setdefault(batch.batch.batch_id, []).extend(sent)
