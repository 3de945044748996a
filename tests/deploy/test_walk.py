"""Finance's walk through a month, its commands taken from the README as they stand there, against a store and the API.

The month is the one before this, so that it has ended; commands run in this process, the API in one of its own.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from analytics import rate_cards
from analytics.rollups import catch_up
from deploy.cli.main import whole
from deploy.settings import read
from deploy.supervisor.supervisor import is_ready
from gateway.domain import clock
from gateway.domain.card_file import newest
from sql.credentials import READER, WRITER
from tests.analytics.invoice_files import csv_file, row
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore
from tests.ports import free_port

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
EXPORT = re.compile(r"export (\w+)=\$\((.+)\)")
CONFIG = """
store: {{url: "{url}", user: {writer}, password: "{password}", reader_user: {reader}, reader_password: "{reads}"}}
dashboards: {{listen: "127.0.0.1:{port}"}}
data_dir: ./data
tenants: {{acme: {{keys: ["a-key-of-enough-length"]}}}}
tiers: {{interactive: {{max_inflight: 4}}}}
upstreams:
  one: {{base_url: "https://a.example/v1", api_key: k, provider: openai, account: org-main}}
aliases: {{fast: {{tier: interactive, targets: [{{upstream: one, model: gpt-4o-mini}}]}}}}
"""


def walk() -> list[tuple[str, int]]:
    """The commands of the README's section, each with the exit status that its comment tells."""
    section = README.split("\n## Close a month\n")[1].split("\n## ")[0]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
    return [
        (line.partition("  #")[0].strip(), 4 if "exit status 4" in line else 0) for line in lines if "tollway " in line
    ]


@pytest.fixture
def last_month() -> date:
    return (clock.utc_now().date().replace(day=1) - timedelta(days=1)).replace(day=1)


@pytest.fixture
def folder(store: RunningStore, tmp_path: Path, last_month: date, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the walk begins: a month of traffic in the store, two invoices in the folder, the API running."""
    store.empty()
    passwords = {"password": store.password(WRITER), "reads": store.password(READER)}
    port = free_port()
    (tmp_path / "tollway.yaml").write_text(
        CONFIG.format(url=store.url, writer=WRITER, reader=READER, port=port, **passwords), "utf-8"
    )
    day = last_month.replace(day=3)
    land_as_a_collector(store, datetime(day.year, day.month, day.day, 10, tzinfo=UTC))
    good = [row("0.000600", "4000", "gpt-4o-mini, input", day=day), row("0.000240", "400", day=day)]
    csv_file(tmp_path, row("5.000600", "4000", "gpt-4o-mini, input", day=day), good[1], name="cost_2026-11.csv")
    csv_file(tmp_path, *good, name="cost_2026-11_corrected.csv")
    (tmp_path / "prices.csv").write_text("provider,model,input,output\nopenai,gpt-4o-mini,0.15,0.60\n")
    monkeypatch.chdir(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "deploy.cli", "serve", "dashboards"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    try:
        url = read(tmp_path / "tollway.yaml").dashboards_url
        deadline = clock.monotonic() + 60
        while not is_ready(f"{url}/healthz"):
            assert process.poll() is None
            assert clock.monotonic() < deadline
        yield tmp_path
    finally:
        process.terminate()
        process.wait(timeout=30)


def land_as_a_collector(store: RunningStore, at: datetime) -> None:
    """Four attempts, told of in the store's ledger as a collector tells them."""
    came = at + timedelta(seconds=2)
    tenants = ("acme", "acme", "globex", "globex")
    land(store.writer, *(attempt(at, tenant=tenant, batch_id="spool-1", received_at=came) for tenant in tenants))
    columns = ["at", "spool", "segment", "sender", "entry", "received", "stored", "settled", "told_at"]
    rows = [
        [came, "spool", 1, "gateway", "", 4, {}, 1, came],
        [came, "spool", 1, "gateway", "spool-1", 0, {"acme": 2, "globex": 2}, 1, came],
    ]
    store.writer.insert("ingest_ledger", rows, column_names=columns, database="tollway")


def work(store: RunningStore, folder: Path) -> None:
    """What the worker does at its next turn: takes up the approved prices, and rolls up."""
    approved = newest(read(folder / "tollway.yaml").rates_dir)
    assert approved
    rate_cards.load(store.writer, approved.cards, now=clock.utc_now())
    catch_up(store.writer, now=clock.utc_now())


@pytest.fixture(scope="module")
def tollway() -> typer.Typer:
    return whole()


def test_finance_walks_a_month_from_the_readme_alone(
    folder: Path, store: RunningStore, last_month: date, tollway: typer.Typer, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    for line, status in walk():
        command = line.replace(".venv/bin/", "")
        command = re.sub(r"2026-11(?!\S*\.csv)", f"{last_month:%Y-%m}", command)
        if " rates approve " in command:
            named = re.search(r"rates approve (\w+)", said[-1])
            assert named
            command = re.sub(r"approve \w+", f"approve {named[1]}", command)
        kept = EXPORT.fullmatch(command)
        done = CliRunner().invoke(tollway, shlex.split(kept[2] if kept else command)[1:])
        assert done.exit_code == status, f"{line}: {done.output} {done.exception!r}"
        said.append(done.output)
        if " rates approve " in command:
            work(store, folder)
        if kept:
            monkeypatch.setenv(kept[1], done.stdout.strip())
    told = "\n".join(said)
    assert "unexplained: 5 USD of openai/org-main is unexplained, above its tolerance of 1" in told
    assert f"5 USD of {last_month:%Y-%m} is unexplained, over and under added up; `tollway export --month" in told
    assert "UNEXPLAINED" in told
    assert "prepared     by mia at" in told
    manifest = json.loads((folder / "exports" / f"{last_month:%Y-%m}" / "manifest.json").read_bytes())
    assert manifest["state"] == "closed"
    assert (manifest["sign_off"]["prepared_by"], manifest["sign_off"]["reviewed_by"]) == ("mia", "ann")
    assert manifest["control_totals"]["invoiced"] == "0.00084"
