"""What the journal and its shipper say of themselves: to Prometheus, to an operator's OTLP backend, to /admin/state."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.domain import clock
from gateway.journal.journal import Journal
from gateway.journal.shipper import Shipper
from gateway.metrics import gauge


@dataclass(frozen=True, slots=True)
class Shipping:
    """The journal of this process, and who ships it."""

    journal: Journal
    shipper: Shipper

    def state(self) -> dict[str, object]:
        """All figures by name, for an operator."""
        return {**asdict(self.journal.stats()), **asdict(self.shipper.stats(clock.monotonic()))}

    def gauges(self) -> dict[str, Callable[[], float]]:
        """What an operator's own OTLP backend is told, where OTEL_EXPORTER_OTLP_ENDPOINT names one."""
        return {
            "tollway.journal.open_intents": lambda: float(self.journal.stats().open_intents),
            "tollway.journal.bytes": lambda: float(self.journal.stats().bytes),
            "tollway.journal.segments_pending": lambda: float(self.journal.stats().segments_pending),
            "tollway.shipper.seconds_since_ack": lambda: self.shipper.stats(clock.monotonic()).seconds_since_ack or 0.0,
        }

    def metrics(self) -> Iterator[Metric]:
        """For Prometheus."""
        kept, sent = self.journal.stats(), self.shipper.stats(clock.monotonic())
        for name, text, value in (
            ("tollway_journal_open_intents", "Attempts under way.", kept.open_intents),
            ("tollway_journal_bytes", "Bytes not acknowledged yet.", kept.bytes),
            ("tollway_journal_segments_pending", "Sealed segments not acknowledged yet.", kept.segments_pending),
            ("tollway_journal_parked_spans", "Spans no collector would take.", kept.parked_spans),
            ("tollway_journal_trouble", "1 while the disk refuses intents.", float(bool(kept.trouble))),
            ("tollway_shipper_seconds_since_ack", "Since the last acknowledgement.", sent.seconds_since_ack or 0.0),
        ):
            yield gauge(name, text, (), (((), value),))
        for name, text, value in (
            ("tollway_journal_refused_intents", "Attempts not made for want of a journal.", kept.refused_intents),
            ("tollway_journal_lost_recovered", "Attempts found lost at the start.", kept.lost_recovered),
            ("tollway_journal_damaged_segments", "ALARM: segments with unreadable records.", kept.damaged_segments),
            ("tollway_shipper_spans", "Spans acknowledged.", sent.shipped_spans),
            ("tollway_shipper_rejected_spans", "Spans the collector rejected.", sent.rejected_spans),
            ("tollway_shipper_retries", "Deliveries made again.", sent.retries),
        ):
            yield CounterMetricFamily(name, text, value=value)
