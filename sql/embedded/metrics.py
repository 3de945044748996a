"""The store's own metrics, in a registry of its own. Labels are bounded: a kind of statement, and an error's code."""

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one store process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.under_way = Gauge(
            "tollway_store_queries_under_way",
            "Statements running or waiting for a thread.",
            ("user",),
            registry=self.registry,
        )
        self._queries = Counter(
            "tollway_store_queries",
            "Statements answered, by kind and error code (0 = none).",
            ("kind", "code"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "tollway_store_query_seconds", "Seconds from request to answer.", ("kind",), registry=self.registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
        )  # fmt: skip

    def observe(self, kind: str, code: int, seconds: float) -> None:
        """Count one statement."""
        self._queries.labels(kind, str(code)).inc()
        self._seconds.labels(kind).observe(seconds)

    def render(self) -> bytes:
        """The Prometheus text of all of them."""
        return generate_latest(self.registry)
