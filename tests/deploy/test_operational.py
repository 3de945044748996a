"""The gateway's own metrics reach an operator's OTLP backend, and only where one is named."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from deploy.cli.demo import free_ports
from deploy.supervisor.supervisor import is_ready
from gateway.domain import clock
from tests.deploy.test_settings import ENV, EXAMPLE

pytestmark = pytest.mark.slow


@pytest.fixture
def backend() -> Iterator[tuple[str, list[bytes]]]:
    bodies: list[bytes] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_gateway_reports_its_journal_to_the_operators_backend(
    tmp_path: Path, backend: tuple[str, list[bytes]]
) -> None:
    url, bodies = backend
    port = free_ports().gateway
    config = tmp_path / "tollway.yaml"
    config.write_text(EXAMPLE.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "serve", "gateway", "--config", str(config)],
        env={**os.environ, **ENV, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "OTEL_EXPORTER_OTLP_COMPRESSION": "none"},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = clock.monotonic() + 30
        while not is_ready(f"http://127.0.0.1:{port}/readyz"):
            assert process.poll() is None
            assert clock.monotonic() < deadline
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    names = {
        metric.name
        for body in bodies
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    assert {"tollway.journal.open_intents", "tollway.shipper.seconds_since_ack"} <= names
