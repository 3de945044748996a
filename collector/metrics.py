"""What the collector tells Prometheus: the books, the spool, what was answered and how landing goes.

A registry of its own, so that nothing else in the process leaks in. Labels are bounded: senders are configured, the
rest are closed lists.
"""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.books import Account
from collector.keeping import Cause
from collector.spool import Spool

PREFIX = "tollway_collector_"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ACK_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
LANDING_SECONDS = (0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)


class ReceiveMetrics:
    """What senders are answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.answers = _counter("requests", "Requests over HTTP, by the status answered.", registry, "status")
        self.received = _counter(
            "received",
            "Requests for traces acknowledged, by how they were written.",
            registry,
            *("protocol", "encoding", "compression"),
        )
        self.rejected = _counter(
            "rejected", "Requests not taken, and why.", registry, *("protocol", "encoding", "reason")
        )
        self.ack_seconds = Histogram(
            PREFIX + "ack_seconds",
            "From a request's last byte to its acknowledgement.",
            registry=registry,
            buckets=ACK_SECONDS,
        )

    def refused(self, protocol: str, encoding: str, reason: str) -> None:
        """Count a request that was not taken."""
        self.rejected.labels(protocol, encoding, reason).inc()


class LandingMetrics:
    """How the way into the store goes."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.batches = _counter("batches", "Batches that came to an end: landed or parked.", registry, "end")
        self.inserts = _counter("inserts", "Inserts tried, by what came of them.", registry, "outcome")
        self.tokens_renewed = _counter(
            "tokens_renewed", "Inserts that the store reported as taken and did not have.", registry
        )
        self.claimed_tenants = _counter(
            "claimed_tenants", "Spans that claim another tenant than their sender is bound to.", registry, "sender"
        )
        self.mismatches = _counter("mismatches", "ALARM: the store has some rows of a batch but not all.", registry)
        self.damaged_segments = _counter("damaged_segments", "ALARM: segments with unreadable records.", registry)
        self.set_aside = Gauge(PREFIX + "set_aside_batches", "Batches that others go before.", registry=registry)
        self.store_up = Gauge(PREFIX + "store_up", "Whether the store answered last time.", registry=registry)
        self.landing_seconds = Histogram(
            PREFIX + "landing_seconds",
            "From a batch's first body to its count in the store.",
            registry=registry,
            buckets=LANDING_SECONDS,
        )


class BooksOnShow(Collector):
    """The books and the spool, read at each scrape."""

    def __init__(self, accounts: Callable[[], Mapping[str, Account]], spool: Spool) -> None:
        self._accounts = accounts
        self._spool = spool

    def collect(self) -> Iterator[Metric]:
        """The families, of one moment."""
        spans = CounterMetricFamily(PREFIX + "spans", "Spans by sender and fate.", labels=["sender", "fate"])
        pending = GaugeMetricFamily(PREFIX + "pending_spans", "Acknowledged, not yet landed.", labels=["sender"])
        drift = GaugeMetricFamily(PREFIX + "books_drift_spans", "ALARM unless 0.", labels=["sender"])
        for sender, account in self._accounts().items():
            for fate in ("received", "stored", "duplicate", "parked"):
                spans.add_metric([sender, fate], getattr(account, fate))
            pending.add_metric([sender], account.pending)
            drift.add_metric([sender], account.drift)
        yield from (spans, pending, drift)
        yield GaugeMetricFamily(PREFIX + "spool_bytes", "Kept and not released.", value=self._spool.bytes)
        kept = self._spool.kept
        yield GaugeMetricFamily(PREFIX + "kept_segments", "Landed, and kept for a replay.", value=len(kept))
        yield GaugeMetricFamily(PREFIX + "kept_bytes", "Of these, bytes.", value=kept.bytes)
        gone = CounterMetricFamily(PREFIX + "kept_gone", "Kept segments let go of, by why.", labels=["cause"])
        for cause in Cause:
            gone.add_metric([cause], kept.gone[cause])
        yield gone
        yield GaugeMetricFamily(
            PREFIX + "refusing", "1 while everything is answered 503.", value=int(self._spool.refusing is not None)
        )


def _counter(name: str, meaning: str, registry: CollectorRegistry, *labels: str) -> Counter:
    return Counter(PREFIX + name, meaning, labels, registry=registry)


def render(registry: CollectorRegistry) -> bytes:
    """The exposition text."""
    return generate_latest(registry)
