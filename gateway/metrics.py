"""What the gateway counts of itself, for Prometheus.

The data path adds to plain dictionaries, at about half of what a prometheus_client counter takes and a quarter of what
its histogram takes; they become metric families only when someone scrapes. Labels are the configuration's names and
closed lists, so their number is bounded; tenants are not among them.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Histogram:
    """Seconds by label values."""

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], list[float]] = {}

    def observe(self, labels: tuple[str, ...], seconds: float) -> None:
        """Count one duration."""
        series = self._series.get(labels)
        if series is None:
            series = self._series[labels] = [0.0] * (len(SECONDS) + 2)
        series[bisect_left(SECONDS, seconds)] += 1
        series[-1] += seconds

    def family(self, name: str, text: str, labels: tuple[str, ...]) -> HistogramMetricFamily:
        """What Prometheus reads."""
        family = HistogramMetricFamily(name, text, labels=labels)
        for values, series in self._series.items():
            total, buckets = 0.0, []
            for bound, count in zip((*map(str, SECONDS), "+Inf"), series[:-1], strict=True):
                total += count
                buckets.append((bound, total))
            family.add_metric(values, buckets, series[-1])
        return family


class Counter(dict[tuple[str, ...], int]):
    """Counts by label values."""

    def add(self, *labels: str, by: int = 1) -> None:
        """Count `by` more."""
        self[labels] = self.get(labels, 0) + by

    def family(self, name: str, text: str, labels: tuple[str, ...]) -> CounterMetricFamily:
        """What Prometheus reads."""
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in self.items():
            family.add_metric(values, count)
        return family


class Metrics:
    """The data path's own counts; a custom collector of a Prometheus registry."""

    def __init__(self) -> None:
        self.requests = Counter()
        self.attempts = Counter()
        self.errors = Counter()
        self.tokens = Counter()
        self.provider_cache_hits = Counter()
        self.template_marks = Counter()
        self.seconds = Histogram()
        self.first_token = Histogram()
        self.queue = Histogram()
        self.hedges = Counter()
        self.sla_missed = Counter()
        self.reloads = Counter()
        self.feedback = Counter()
        self._gauges: list[Callable[[], Iterable[Metric]]] = []

    def continues(self, before: "Metrics") -> None:
        """Count on from where those counts are, together with whoever still adds to them; gauges are one's own."""
        for name, counted in vars(before).items():
            if isinstance(counted, Counter | Histogram):
                setattr(self, name, counted)

    def also(self, gauges: Callable[[], Iterable[Metric]]) -> None:
        """Add metrics that are read when they are asked for."""
        self._gauges.append(gauges)

    def collect(self) -> Iterator[Metric]:
        """All metric families, as prometheus_client asks for them."""
        yield self.requests.family("tollway_requests", "Requests ended.", ("alias", "tier", "outcome"))
        yield self.attempts.family(
            "tollway_attempts", "Attempts ended.", ("alias", "tier", "upstream", "outcome", "reason")
        )
        yield self.errors.family("tollway_errors", "Answers of the gateway's own, by code.", ("code",))
        yield self.provider_cache_hits.family(
            "tollway_provider_cache_hits", "Answers for which the vendor read its own cache.", ("alias", "upstream")
        )
        yield self.template_marks.family(
            "tollway_template_marks", "Marks set for a vendor's cache.", ("alias", "upstream", "mark")
        )
        yield self.tokens.family("tollway_tokens", "Tokens measured.", ("alias", "upstream", "token_class"))
        yield self.seconds.family("tollway_request_seconds", "From arrival to the answer's end.", ("alias", "tier"))
        yield self.first_token.family(
            "tollway_first_token_seconds", "From an attempt's start to its first token.", ("alias", "tier", "upstream")
        )
        yield self.queue.family("tollway_queue_seconds", "Waiting for a slot.", ("tier",))
        yield self.hedges.family(
            "tollway_hedges",
            "Second calls beside a late one: started, won, lost, refused.",
            ("alias", "tier", "result"),
        )
        yield self.sla_missed.family(
            "tollway_sla_missed", "Requests that did not get what their tier promises.", ("tier", "promise")
        )
        yield self.feedback.family("tollway_feedback", "Feedback that tenants gave.", ("verdict",))
        yield self.reloads.family(
            "tollway_config_reloads",
            "Times the configuration was read again: applied, unchanged, rejected.",
            ("result",),
        )
        for gauges in self._gauges:
            yield from gauges()


def gauge(name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[tuple[str, ...], float]]) -> Metric:
    """A gauge family with those values."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for names, value in values:
        family.add_metric(names, value)
    return family
