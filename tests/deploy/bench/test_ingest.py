"""The ingest bench measures what it says: requests of 200 spans as promised, each span its own, all of them landed."""

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from deploy.bench import ingest
from deploy.bench.ingest_spans import SPANS, Requests


def test_a_request_has_200_spans_of_24_attributes_and_about_900_bytes_and_no_two_are_the_same() -> None:
    requests = Requests(1, now_ns=1)
    bodies = [requests.body(), requests.body()]
    spans = [
        span
        for body in bodies
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]
    assert len(spans) == 2 * SPANS == 400
    assert {len(span.attributes) for span in spans} == {24}
    assert 800 < len(bodies[0]) / SPANS < 1000
    assert len({span.trace_id + span.span_id for span in spans}) == 400


@pytest.mark.slow
def test_a_small_run_lands_every_span_and_prints_each_figure(capsys: pytest.CaptureFixture[str]) -> None:
    figures = ingest.run(4 * SPANS, warm_up=2 * SPANS, paced_s=0.2)
    printed = capsys.readouterr().out
    assert figures["spans"] == 4 * SPANS
    for name in ("collector_us", "store_us", "python_walk_us", "arrow_store_us", "ack_p99_ms", "disk_bytes_per_span"):
        value = figures[name]
        assert isinstance(value, float)
        assert value > 0, name
        assert f"{value}" in printed or name == "arrow_store_us"
    assert isinstance(figures["largest_columns"], dict)
    assert len(figures["largest_columns"]) == 5
