"""Operational telemetry goes out only where an operator asked for it, and no caller can switch it off."""

import os

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from gateway.telemetry import sdk
from tests.gateway.otlp_receiver import receiver, spans_in


@pytest.fixture(autouse=True)
def _no_endpoint_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


UNSAMPLED = SpanContext(trace_id=0xABC, span_id=0xDEF, is_remote=True, trace_flags=TraceFlags(0))
"""What a client's `traceparent: 00-...-00` becomes."""


def test_a_caller_that_says_not_sampled_is_recorded_all_the_same() -> None:
    with receiver() as backend:
        operational = sdk.start("worker-0", endpoint=backend.url)
        parent = set_span_in_context(NonRecordingSpan(UNSAMPLED))
        with operational.tracer.start_as_current_span("reload", context=parent) as span:
            assert span.is_recording()
        operational.shutdown()
        (body,) = [sent.body for sent in backend.sent if sent.path == "/v1/traces"]
    (exported,) = spans_in(body)
    assert (exported.name, exported.trace_id.hex()) == ("reload", f"{0xABC:032x}")


def test_watched_figures_are_reported_under_their_own_service() -> None:
    with receiver() as backend:
        operational = sdk.start("worker-0", endpoint=backend.url + "/")
        operational.watch({"tollway.journal.bytes": lambda: 42.0})
        operational.shutdown()
        (body,) = [sent.body for sent in backend.sent if sent.path == "/v1/metrics"]
    (resource_metrics,) = ExportMetricsServiceRequest.FromString(body).resource_metrics
    resource = {pair.key: pair.value.string_value for pair in resource_metrics.resource.attributes}
    found = {
        metric.name: [point.as_double for point in metric.gauge.data_points]
        for scope in resource_metrics.scope_metrics
        for metric in scope.metrics
    }
    assert resource["service.name"] == sdk.SERVICE_NAME
    assert found["tollway.journal.bytes"] == [42.0]


def test_without_an_endpoint_nothing_is_recorded_and_everything_may_still_be_called() -> None:
    operational = sdk.start("worker-0")
    operational.watch({"tollway.journal.bytes": lambda: 42.0})
    with operational.tracer.start_as_current_span("reload") as span:
        assert not span.is_recording()
    operational.shutdown()


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_the_standard_environment_names_set_the_endpoint(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with receiver() as backend:
        monkeypatch.setenv(name, backend.url + ("/v1/traces" if "TRACES" in name else ""))
        operational = sdk.start("worker-0")
        with operational.tracer.start_as_current_span("reload"):
            pass
        operational.shutdown()
        (body,) = [sent.body for sent in backend.sent if sent.path == "/v1/traces"]
    assert [span.name for span in spans_in(body)] == ["reload"]
