"""A collector without its receiving half and its threads: the lander is stepped by hand, and so is the time."""

from dataclasses import dataclass, field
from pathlib import Path

from prometheus_client import CollectorRegistry

from collector.books import Books
from collector.horizon import Horizon
from collector.lander import Clocks, Lander
from collector.ledger import Ledger
from collector.losses import Lost
from collector.metrics import LandingMetrics
from collector.otlp import split_keys
from collector.parking import Parking
from collector.planning import SegmentPlan
from collector.records import SpoolRecord
from collector.sealed import Segment, cut_torn_tail, list_segments, read_segment, segment_number
from collector.settings import Limits
from collector.sharding import ONE_SERVER
from collector.spool import Spool
from collector.store import StoreDown
from tests.collector.pretend_store import PretendStore
from tests.collector.spooled import NOON_MS, spool_away

LIMITS = Limits(free_bytes_min=0, segment_rows_max=1)


@dataclass
class Time:
    """A clock that goes where it is put."""

    s: float = 0.0

    def monotonic(self) -> float:
        return self.s

    def now_ms(self) -> int:
        return NOON_MS + int(self.s * 1000)


@dataclass
class House:
    """A collector without its receiving half; `restart` is what kill -9 and a new start leave of it."""

    folder: Path
    store: PretendStore = field(default_factory=PretendStore)
    time: Time = field(default_factory=Time)
    limits: Limits = LIMITS
    shards: tuple[str, ...] = (ONE_SERVER,)
    forgotten: list[tuple[str, bytes | None]] = field(default_factory=list)
    """The bodies that are new again when they come again."""

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Everything in memory is lost."""
        self.horizon = Horizon(horizon_s=self.limits.horizon_s, keys_max=1000)
        on_disk = {segment_number(path) for path in list_segments(self.folder / "spool")}
        self.ledger = Ledger(
            self.folder / "ledger", self._remember, now_ms=self.time.now_ms(), on_disk=on_disk, forget=self._unlearn
        )
        waiting, held = [], []
        self.books = Books(self.ledger.state.accounts)
        for path in list_segments(self.folder / "spool"):
            spans = read_segment(path).spans()
            segment = Segment(segment_number(path), path, cut_torn_tail(path), spans)
            if segment.number in self.ledger.state.planned:
                held.append(segment)
                continue
            waiting.append(segment)
            for sender, count in spans.items():
                self.books.received(sender, count)
        self.spool = Spool(self.folder / "spool", self.limits, waiting=waiting, held=held)
        self.registry = CollectorRegistry()
        self.lander = Lander(
            spool=self.spool,
            ledger=self.ledger,
            horizon=self.horizon,
            parking=Parking(self.folder / "parked"),
            books=self.books,
            store=self.store,
            metrics=LandingMetrics(self.registry),
            limits=self.limits,
            spool_id="ab",
            clocks=Clocks(monotonic=self.time.monotonic, now_ms=self.time.now_ms),
            shards=self.shards,
            held=held,
            forget=lambda sender, digest: self.forgotten.append((sender, digest)),
        )

    def _unlearn(self, lost: Lost) -> None:
        self.horizon.unlearn(lost.sender, lost.keys)

    def _remember(self, plan: SegmentPlan) -> None:
        for sender, blob in plan.keys.items():
            self.horizon.add(sender, split_keys(blob), plan.received_ms)

    def receive(self, *records: SpoolRecord) -> None:
        """What the receiving half does."""
        for record in records:
            spool_away(self.spool, record, now_ms=self.time.now_ms())
            self.books.received(record.sender, record.spans)

    def turn(self) -> None:
        """One turn, and the time it asks for."""
        try:
            self.time.s += max(0.001, self.lander.turn())
        except StoreDown:
            self.time.s += 1.0

    def turns(self, count: int = 200) -> None:
        for _ in range(count):
            self.turn()
            if not self.pending:
                return

    @property
    def pending(self) -> int:
        return sum(account.pending for account in self.books.accounts().values())

    def metric(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"tollway_collector_{name}", labels) or 0.0
