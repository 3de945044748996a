"""The demo as a person leaves it running: called by clients, opened by finance, met by bad input, ended when told."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.domain import clock
from tests.e2e.browser import browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
FOCUS_CSV = "BilledCost,BillingAccountId,ChargePeriodStart\n1.00,acme,2026-11-01T00:00:00Z\n"


@dataclass(frozen=True)
class Demo:
    """A running demo and what it reported."""

    process: "subprocess.Popen[str]"
    report: dict[str, Any]
    said: list[str]

    @property
    def data(self) -> Path:
        return Path(self.report["data"])

    def key(self, tenant: str) -> str:
        return (self.data / "secrets" / f"tenant-{tenant}").read_text().strip()

    def client(self, key: str | None = None) -> openai.OpenAI:
        return openai.OpenAI(base_url=self.report["urls"]["gateway"], api_key=key or self.key("acme"), max_retries=0)

    def tollway(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "deploy.cli", *arguments, "--config", str(self.data / "tollway.yaml")]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def sql(self, query: str) -> list[dict[str, Any]]:
        done = self.tollway("query", query, "--json")
        assert done.returncode == 0, done.stderr
        rows: list[dict[str, Any]] = json.loads(done.stdout)
        return rows

    def spend(self, where: str = "1") -> Decimal:
        query = f"SELECT sum(cost_usd) AS usd FROM tollway.rated_attempts WHERE {where}"  # noqa: S608 - our own words
        return Decimal(self.sql(query)[0]["usd"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    command = [
        sys.executable,
        "-m",
        "deploy.cli",
        "demo",
        "--requests",
        "120",
        "--free-ports",
        "--json",
        "--data",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    said: list[str] = []
    listener = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
    listener.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "".join(said)
        yield Demo(process, json.loads(line), said)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
        listener.join(10)
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
    assert code == 0, "".join(said)
    assert any("stopping" in text for text in said)


def test_the_openai_client_chats_and_streams_through_the_demo(demo: Demo) -> None:
    client = demo.client()
    ask: Any = {"model": "fast", "messages": [{"role": "user", "content": "What does a tollway do?"}], "max_tokens": 6}
    for _ in range(5):  # The vendors fail now and then, on purpose; the ladder mends most of it.
        try:
            whole = client.chat.completions.create(**ask)
            pieces = [
                chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**ask, stream=True)
            ]
            break
        except openai.APIError:
            continue
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 6
    assert len("".join(pieces).split()) == 6


def test_a_bad_key_and_an_unknown_alias_are_told_apart(demo: Demo) -> None:
    ask: Any = {"model": "fats", "messages": [{"role": "user", "content": "hello"}]}
    with pytest.raises(openai.NotFoundError, match="fast"):
        demo.client().chat.completions.create(**ask)
    with pytest.raises(openai.AuthenticationError):
        demo.client("sk-nobody-has-this-key").chat.completions.create(**ask)


def test_garbage_and_oversized_spans_are_refused_and_nothing_is_lost(demo: Demo) -> None:
    config = (demo.data / "tollway.yaml").read_text()
    otlp = next(line.split("127.0.0.1:")[1].strip() for line in config.splitlines() if "otlp_http" in line)
    url = f"http://127.0.0.1:{otlp}/v1/traces"
    token = (demo.data / "secrets" / "otlp-gateway").read_text().strip()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/x-protobuf"}
    assert httpx.post(url, content=b"\xff\x00not protobuf", headers=headers).status_code == 400
    assert httpx.post(url, content=b"\0" * (65 * 2**20), headers=headers, timeout=60).status_code == 413
    assert httpx.post(url, content=b"", headers={**headers, "authorization": "Bearer nobody"}).status_code == 401
    assert httpx.post(url, content=ExportTraceServiceRequest().SerializeToString(), headers=headers).status_code == 200
    name = "after-the-garbage"
    body = {"model": "fast", "messages": [{"role": "user", "content": "still here?"}], "max_tokens": 3}
    headers = {"authorization": f"Bearer {demo.key('acme')}", "x-request-id": name}
    httpx.post(f"{demo.report['urls']['gateway']}/chat/completions", json=body, headers=headers, timeout=30)
    landed = f"SELECT count() AS n FROM tollway.spans WHERE request_id = '{name}'"  # noqa: S608 - our own words
    deadline = clock.monotonic() + 30
    while demo.sql(landed)[0]["n"] < 2:  # The attempt and its operation; more where the ladder was used.
        assert clock.monotonic() < deadline, "what was sent after the garbage never landed"


def test_an_invoice_of_another_kind_is_told_in_one_line_and_changes_nothing(demo: Demo, tmp_path: Path) -> None:
    before = demo.tollway("reconcile", "--json").stdout
    (tmp_path / "focus.csv").write_text(FOCUS_CSV)
    account = ("--provider", "openai", "--account", "org-main")
    done = demo.tollway("invoices", "import", str(tmp_path / "focus.csv"), *account)
    assert done.returncode == 1
    assert "focus.csv" in done.stderr
    assert "Traceback" not in done.stderr
    assert demo.tollway("reconcile", "--json").stdout == before


def test_two_exports_are_the_same_bytes(demo: Demo, tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert demo.tollway("export", "--out", str(tmp_path / name)).returncode == 0
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert {"recon_summary.csv", "recon_lines.csv", "recon_by_alias_tenant.csv", "manifest.json"} < set(one)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE tollway.spans",
        "INSERT INTO tollway.spans (tenant) VALUES ('x')",
        "SELECT * FROM file('/etc/passwd')",
    ],
)
def test_the_query_command_only_reads(demo: Demo, statement: str) -> None:
    done = demo.tollway("query", statement)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_the_doctor_finds_a_running_demo_well(demo: Demo) -> None:
    done = demo.tollway("doctor", "--json")
    states = {finding["what"]: finding["state"] for finding in json.loads(done.stdout)}
    assert done.returncode == 0
    assert set(states.values()) == {"ok"}


def test_a_second_start_on_the_same_ports_is_told_in_one_line(demo: Demo) -> None:
    done = demo.tollway("up")
    assert done.returncode == 1
    assert "cannot listen at" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_secret_is_in_a_log_a_file_of_the_month_or_a_command_line(demo: Demo) -> None:
    secrets = [path.read_bytes().strip() for path in (demo.data / "secrets").iterdir()]
    written = [*(demo.data / "logs").iterdir(), *map(Path, demo.report["files"]), *map(Path, demo.report["invoices"])]
    commands = [path for path in Path("/proc").glob("[0-9]*/cmdline") if path.parent.name != str(os.getpid())]
    for path in [*written, *commands]:
        try:
            content = path.read_bytes()
        except OSError:
            continue
        assert not [secret for secret in secrets if secret in content], path


def test_finance_finds_in_the_browser_what_sql_says(demo: Demo) -> None:
    total, acme = demo.spend(), demo.spend("tenant = 'acme'")
    assert total > acme > 0
    month = demo.report["month"]
    with browser() as page:
        page.open(f"{demo.report['urls']['dashboards']}spend?month={month}")
        page.until(lambda: Decimal(page.exact("spend-kpi-total")) == total, f"the month's {total}")
        page.click("#spend-tenant")
        page.click("[role=option]", "acme")
        page.until(lambda: Decimal(page.exact("spend-kpi-total")) == acme, f"acme's {acme}")
        assert "tenant=acme" in page.driver.current_url
        page.open(f"{demo.report['urls']['dashboards']}reconciliation?month={month}")
        result = json.loads(demo.tollway("reconcile", "--json").stdout)
        page.until(lambda: Decimal(page.exact("recon-kpi-invoiced")) == Decimal(result["invoiced_usd"]), "the invoice")
        assert Decimal(page.exact("recon-kpi-unexplained")) == Decimal(result["unexplained_usd"])
        assert page.complaints() == []
