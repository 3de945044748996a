"""What the dashboards count about themselves, for Prometheus. Labels are pages and kinds of failure, a handful each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

REGISTRY = CollectorRegistry()
ANSWER_SECONDS = Histogram(
    "tollway_dashboards_answer_seconds",
    "Time from a page's question to its answer, queries and drawing included.",
    ["page"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
    registry=REGISTRY,
)
FAILURES = Counter(
    "tollway_dashboards_failures_total", "Answers that failed, by page and kind.", ["page", "kind"], registry=REGISTRY
)


def failed(page: str, error: Exception) -> None:
    """Count an answer that failed."""
    FAILURES.labels(page=page, kind=getattr(error, "kind", "no_access")).inc()


def exposition() -> bytes:
    """All figures in Prometheus' text format."""
    return generate_latest(REGISTRY)
