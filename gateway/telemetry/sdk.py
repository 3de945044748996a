"""Tollway's own operational traces and metrics, to whatever backend its operator runs; nothing of them is billed for.

They go through opentelemetry-sdk, which may drop: what money hangs on goes through the journal instead. They are sent
only where an endpoint is set, here or by the standard names (OTEL_EXPORTER_OTLP_ENDPOINT and its kin, which also carry
headers and certificates); without one the SDK is not even imported. The sampler is always on: a caller's `traceparent`
may say "not sampled" and must not be obeyed, or anybody could switch off what is recorded of them.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Meter, NoOpMeter, Observation
from opentelemetry.trace import NoOpTracer, Tracer

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

SERVICE_NAME = "tollway-gateway-operations"
"""Not the service of the billed spans, so that nobody adds the two up."""
_SCOPE = "tollway.operations"
_BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_TRACES, _METRICS = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"


class Operational:
    """A tracer, a meter, and the end of both."""

    def __init__(self, tracer: Tracer, meter: Meter, shutdown: Callable[[], None]) -> None:
        self.tracer = tracer
        self.meter = meter
        self.shutdown = shutdown
        """Send what is left, for a few seconds at most, and stop. Call it once."""

    def watch(self, gauges: Mapping[str, Callable[[], float]]) -> None:
        """Report each of these figures, by its name, whenever metrics are sent."""
        for name, read in gauges.items():
            self.meter.create_observable_gauge(name, callbacks=[_observer(read)])


def start(instance: str, *, endpoint: str = "") -> Operational:
    """Begin to export; `endpoint` is an OTLP/HTTP base address, and goes before the environment's."""
    if not (_wanted(endpoint, _TRACES) or _wanted(endpoint, _METRICS)):
        return Operational(NoOpTracer(), NoOpMeter(_SCOPE), lambda: None)
    from opentelemetry.sdk.resources import Resource

    resource = Resource.create({"service.name": SERVICE_NAME, "service.instance.id": instance})
    traces = _traces(endpoint.rstrip("/"), resource)
    meters = _metrics(endpoint.rstrip("/"), resource)

    def shutdown() -> None:
        traces.shutdown()
        meters.shutdown(timeout_millis=5_000)

    return Operational(traces.get_tracer(_SCOPE), meters.get_meter(_SCOPE), shutdown)


def _wanted(endpoint: str, name: str) -> bool:
    """Whether one signal has somewhere to go; the exporters' own default, localhost, is nobody's wish."""
    return bool(endpoint or os.environ.get(_BASE) or os.environ.get(name))


def _traces(endpoint: str, resource: "Resource") -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    if _wanted(endpoint, _TRACES):
        exporter = OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces" if endpoint else None)
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _metrics(endpoint: str, resource: "Resource") -> "MeterProvider":
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    if not _wanted(endpoint, _METRICS):
        return MeterProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPMetricExporter(endpoint=f"{endpoint}/v1/metrics" if endpoint else None)
    reader = PeriodicExportingMetricReader(exporter)
    return MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)


def _observer(read: Callable[[], float]) -> Callable[[CallbackOptions], list[Observation]]:
    return lambda _options: [Observation(read())]
