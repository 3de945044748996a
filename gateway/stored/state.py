"""What the routes of stored objects share in one process: the vendors' clients, and what is counted."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.metrics import Counter, gauge
from gateway.stored.ledger import unmetered
from gateway.stored.naming import Stored
from gateway.stored.owners import Owners
from gateway.stored.vendor import Vendors


class StoredState:
    """Made with the plane."""

    def __init__(self, owners: Owners) -> None:
        self.vendors = Vendors()
        self.requests = Counter()
        """By method, route and outcome."""
        self.lines = Counter()
        """Lines of batches' results, by what became of them: metered, error or unreadable."""
        self.metering: set[tuple[str, str, str]] = set()
        """Keys of the objects whose usage is being put on the books now."""
        self.unmetered = {"batch": 0, "response": 0}
        """What ended, or was left to run, and was never fetched; as last counted."""
        self._owners = owners

    async def recount(self) -> None:
        """Count again what was never fetched. Raises OwnersUnavailable."""
        counts = await self._owners.ask(
            lambda db: {kind: unmetered(db, kind) for kind in (Stored.BATCH, Stored.RESPONSE)}
        )
        self.unmetered = {kind.value: count for kind, count in counts.items()}

    async def close(self) -> None:
        """Hang up on the vendors."""
        await self.vendors.close()

    def collect(self) -> Iterator[Metric]:
        """Metric families."""
        yield self.requests.family(
            "tollway_stored_requests",
            "Requests for files, batches and stored responses.",
            ("method", "route", "outcome"),
        )
        yield self.lines.family("tollway_batch_lines", "Lines of batches' results, as fetched.", ("result",))
        yield CounterMetricFamily(
            "tollway_stored_contested_ids", "Ids that a vendor gave to two tenants.", value=self._owners.contested
        )
        yield gauge(
            "tollway_stored_unmetered",
            "Batches that ended and background responses whose usage nobody has fetched.",
            ("kind",),
            (((kind,), count) for kind, count in self.unmetered.items()),
        )
