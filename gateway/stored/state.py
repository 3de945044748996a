"""What the routes of stored objects share in one process: the vendors' clients, and what is counted."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.errors import QuotaExhausted
from gateway.metrics import Counter, gauge
from gateway.stored.ledger import unmetered
from gateway.stored.naming import Stored
from gateway.stored.owners import Owners
from gateway.stored.vendor import Vendors

UNDER_WAY_MAX = 64
"""Requests of one tenant at a time, in one process: they wait in line at the control database, which is everybody's."""


class StoredState:
    """Made with the plane."""

    def __init__(self, owners: Owners) -> None:
        self._vendors: dict[str, Vendors] = {}
        self._under_way: dict[str, int] = {}
        self.requests = Counter()
        """By method, route and outcome."""
        self.lines = Counter()
        """Lines of batches' results, by what became of them: metered, error or unreadable."""
        self.metering: set[tuple[str, str, str]] = set()
        """Keys of the objects whose usage is being put on the books now."""
        self.unmetered = {"batch": 0, "response": 0}
        """What ended, was left to run or was cut, and was never fetched; as last counted."""
        self._owners = owners

    def vendors_of(self, tenant: str) -> Vendors:
        """The clients of that tenant alone: whoever fills their connections waits for nobody but itself."""
        found = self._vendors.get(tenant)
        if found is None:
            found = self._vendors[tenant] = Vendors()
        return found

    def enter(self, tenant: str) -> None:
        """One more request of that tenant is under way. Raises QuotaExhausted where there are UNDER_WAY_MAX already."""
        if self._under_way.get(tenant, 0) >= UNDER_WAY_MAX:
            message = f"You have {UNDER_WAY_MAX} requests for stored objects under way. Retry when one has ended."
            raise QuotaExhausted(message, retry_after_s=1)
        self._under_way[tenant] = self._under_way.get(tenant, 0) + 1

    def leave(self, tenant: str) -> None:
        """One of them has ended."""
        self._under_way[tenant] -= 1

    async def recount(self) -> None:
        """Count again what was never fetched. Raises OwnersUnavailable."""
        counts = await self._owners.ask(
            lambda db: {kind: unmetered(db, kind) for kind in (Stored.BATCH, Stored.RESPONSE)}
        )
        self.unmetered = {kind.value: count for kind, count in counts.items()}

    async def close(self) -> None:
        """Hang up on the vendors."""
        for vendors in self._vendors.values():
            await vendors.close()

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
            "Batches that ended, and responses, whose usage nobody has fetched.",
            ("kind",),
            (((kind,), count) for kind, count in self.unmetered.items()),
        )
