"""What the worker says of itself over HTTP: /healthz (the process lives), /readyz (the cards are loaded), /metrics.

Prometheus knows only floats, so the amounts here are for graphs and alerts; the exact ones are in the files.
"""

import threading
from collections.abc import Iterable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import polars as pl
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest

from analytics.audit import KINDS, Check
from analytics.reconciliation import Reconciliation
from analytics.rollups import Rebuilt


class Monitor:
    """The worker's gauges, and whether it is ready."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ready = threading.Event()
        self._failures = Counter(
            "tollway_worker_job_failures", "Jobs that failed and will be tried again.", ["job"], registry=self.registry
        )
        self._successes = Gauge(
            "tollway_worker_job_success_timestamp_seconds",
            "When the job last succeeded, Unix time.",
            ["job"],
            registry=self.registry,
        )
        self._duplicates = Gauge(
            "tollway_audit_duplicate_rows",
            "Rows too many in the last 24 closed hours, by what landed twice.",
            ["kind"],
            registry=self.registry,
        )
        self._faults = Gauge(
            "tollway_audit_faults",
            "ALARM unless 0: differences that the last audit of closed hours found, by the equality that they break.",
            ["equality"],
            registry=self.registry,
        )
        self._audited = Gauge(
            "tollway_audit_last_timestamp_seconds",
            "When the closed hours were last audited and it was kept, Unix time.",
            registry=self.registry,
        )
        self._rolled_up = Counter(
            "tollway_rollup_partitions_rebuilt",
            "Partitions of a rollup that were rebuilt and swapped in.",
            ["rollup"],
            registry=self.registry,
        )
        money = ["month", "provider", "account"]
        self._invoiced = Gauge("tollway_invoiced_usd", "Invoiced.", money, registry=self.registry)
        self._metered = Gauge("tollway_metered_usd", "Metered.", money, registry=self.registry)
        self._variance = Gauge(
            "tollway_variance_usd",
            "Invoiced minus metered, by class.",
            [*money, "variance_class"],
            registry=self.registry,
        )
        self._floor = Gauge(
            "tollway_unpriced_attempts",
            "Attempts that no card prices: metered is a floor.",
            money,
            registry=self.registry,
        )

    def failed(self, job: str) -> None:
        """Count a job that failed."""
        self._failures.labels(job).inc()

    def succeeded(self, job: str, unix_seconds: float) -> None:
        """Note when a job succeeded."""
        self._successes.labels(job).set(unix_seconds)

    def rolled_up(self, rebuilt: Rebuilt) -> None:
        """Count what was swapped in."""
        for rollup, partitions in asdict(rebuilt).items():
            self._rolled_up.labels(rollup).inc(partitions)

    def audited(self, found: pl.DataFrame, checks: Iterable[Check], unix_seconds: float) -> None:
        """Show the result of an audit; what found nothing is 0, and what could not be asked is absent."""
        self._faults.clear()
        for check in checks:
            if check.compared is not None:
                self._faults.labels(check.equality).set(len(check.faults))
        self._audited.set(unix_seconds)
        extra = dict(found.group_by("kind").agg(pl.col("extra").sum()).iter_rows())
        for kind in KINDS:
            self._duplicates.labels(kind).set(extra.get(kind, 0))

    def reconciled(self, months: list[Reconciliation]) -> None:
        """Show these months and no others."""
        for gauge in (self._invoiced, self._metered, self._variance, self._floor):
            gauge.clear()
        for month in months:
            for account in month.accounts:
                labels = (month.month, account.provider, account.account)
                self._invoiced.labels(*labels).set(float(account.invoiced))
                self._metered.labels(*labels).set(float(account.metered))
                self._floor.labels(*labels).set(account.unpriced)
                for name, amount in account.by_class.items():
                    self._variance.labels(*labels, name.value).set(float(amount))


def serve(monitor: Monitor, host: str, port: int) -> ThreadingHTTPServer:
    """Answer on a thread until `shutdown()` is called. Raises OSError when the port is taken. Port 0 picks one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path.partition("?")[0]:
                case "/healthz":
                    self._answer(HTTPStatus.OK, b"ok\n")
                case "/readyz" if monitor.ready.is_set():
                    self._answer(HTTPStatus.OK, b"ready\n")
                case "/readyz":
                    self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"waiting for the store\n")
                case "/metrics":
                    self._answer(HTTPStatus.OK, generate_latest(monitor.registry), CONTENT_TYPE_LATEST)
                case _:
                    self._answer(HTTPStatus.NOT_FOUND, b"not found\n")

        def _answer(self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            """Scrapes are not worth a line each."""

    server = ThreadingHTTPServer((host, port), Handler)
    threading.Thread(target=server.serve_forever, name="monitor", daemon=True).start()
    return server
