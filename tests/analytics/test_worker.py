"""The worker on a real store: it loads, audits, reconciles, says so, and waits for a store that is away."""

import threading
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from clickhouse_connect.driver.client import Client

from analytics import worker as worker_module
from analytics.monitor import Monitor, serve
from analytics.worker import Settings, Worker, run
from collector.ledger_rows import LedgerRow
from collector.store import ClickHouseStore
from gateway.domain import clock
from gateway.domain.card_file import Approval, CardFile
from tests.analytics.landed import attempt, land
from tests.analytics.recon_builders import card, instant
from tests.conftest import RunningStore

pytestmark = pytest.mark.slow

NOW = instant("2026-11-20T09:30")


def settings(store: RunningStore, **changes: object) -> Settings:
    given: dict[str, object] = {
        "store_url": store.url,
        "secrets_dir": store.data_dir / "secrets",
        "cards": [card()],
        "port": 0,
        "now": lambda: NOW,
    }
    return Settings(**(given | changes))  # type: ignore[arg-type]


def value(monitor: Monitor, name: str, **labels: str) -> float | None:
    return monitor.registry.get_sample_value(name, labels)


def tell(writer: Client, *, stored: int) -> None:
    """What a collector tells of the one batch."""
    opened = int(instant("2026-11-20T08:10").timestamp() * 1000)
    batch = LedgerRow(
        segment=opened, entry="ab-1-0", sender="gateway", tenant="", stored={"acme": stored}, settled=stored
    )
    received = LedgerRow(segment=opened, entry="", sender="gateway", received=stored, settled=stored)
    ClickHouseStore(lambda: writer).tell([batch, received], spool="ab", now_ms=opened)


def kept(writer: Client, equality: str) -> list[tuple[object, ...]]:
    """Hour, what was compared and faults, of the audits' table, as they were written."""
    asked = "SELECT toString(hour), compared, faults FROM tollway.audits WHERE equality = {e:String} ORDER BY ALL DESC"
    return list(writer.query(asked, parameters={"e": equality}).result_rows)


def test_a_turn_loads_the_cards_audits_and_reconciles(store, writer):
    twice = attempt("2026-11-20T08:10", batch_id="ab-1-0", received_at=instant("2026-11-20T08:10"))
    land(writer, twice, twice)
    monitor = Monitor()
    worker = Worker(settings(store), monitor)
    tell(writer, stored=1)
    assert worker.turn(NOW)
    assert monitor.ready.is_set()
    assert value(monitor, "tollway_audit_duplicate_rows", kind="attempt_id") == 1
    assert value(monitor, "tollway_audit_duplicate_rows", kind="response_id") == 0
    account = {"month": "2026-11", "provider": "openai", "account": "org-main"}
    assert value(monitor, "tollway_metered_usd", **account) == pytest.approx(0.00042)
    assert value(monitor, "tollway_variance_usd", **account, variance_class="UNBILLED_USAGE") == pytest.approx(-0.00042)
    assert value(monitor, "tollway_worker_job_success_timestamp_seconds", job="Reconcile") == NOW.timestamp()
    assert value(monitor, "tollway_audit_last_timestamp_seconds") == NOW.timestamp()
    assert value(monitor, "tollway_audit_faults", equality="one row a span") == 2, "its attempt id and its span key"
    assert value(monitor, "tollway_audit_faults", equality="facts = ledger") == 1
    assert value(monitor, "tollway_audit_faults", equality="facts = rollups") == 0
    assert kept(writer, "facts = ledger")[0] == ("2026-11-20 08:00:00", 1, 1)
    assert len(kept(writer, "facts = ledger")) == len(kept(writer, "one row a span")) == 24, "one row a closed hour"
    assert worker.turn(instant("2026-11-20T10:30"))
    tell(writer, stored=2)
    assert worker.turn(instant("2026-11-20T14:30"))
    worker.close()
    assert len(kept(writer, "one row a span")) == 24 + 5, "of an hour that says the same no second row"
    told = [row for row in kept(writer, "facts = ledger") if row[0] == "2026-11-20 08:00:00"]
    assert told == [("2026-11-20 08:00:00", 1, 1), ("2026-11-20 08:00:00", 1, 0)], "what was said stays"


def test_cards_that_are_approved_are_in_the_store_by_the_next_turn(store, writer, tmp_path, caplog):
    caplog.set_level("INFO", "tollway.worker")
    worker = Worker(settings(store, cards=[card(model="mine")], rates_dir=tmp_path), Monitor())
    assert worker.turn(NOW)
    made = CardFile(1, (card(model="other"),), Approval("ann", NOW))
    made.write(tmp_path)
    assert worker.turn(NOW)
    worker.close()
    models = writer.query("SELECT model FROM tollway.rate_cards ORDER BY model").result_rows
    assert models == [("mine",), ("other",)]
    assert f"2 rate cards are in the store: version 1, {made.sha256[:16]}" in caplog.text


def test_a_store_that_is_away_is_tried_again_and_complained_of_once(store, writer, caplog):
    monitor = Monitor()
    worker = Worker(settings(store, store_url="http://127.0.0.1:9"), monitor)
    assert not worker.turn(NOW)
    assert not worker.turn(NOW)
    assert [record.levelname for record in caplog.records if record.name == "tollway.worker"] == ["WARNING"]
    assert not monitor.ready.is_set()
    assert value(monitor, "tollway_worker_job_failures_total", job="LoadCards") == 2


def test_a_store_that_has_made_no_password_yet_is_waited_for(store, tmp_path):
    monitor = Monitor()
    assert not Worker(settings(store, secrets_dir=tmp_path / "secrets"), monitor).turn(NOW)


def test_the_password_is_in_no_repr(store):
    assert "hunter2hunter2" not in repr(settings(store, store_password="hunter2hunter2"))


def test_a_month_that_is_shown_no_more_leaves_the_gauges(store, writer):
    land(writer, attempt("2026-11-20T08:00"))
    monitor = Monitor()
    worker = Worker(settings(store), monitor)
    worker.turn(NOW)
    worker.turn(instant("2027-03-01T09:00"))
    worker.close()
    assert value(monitor, "tollway_metered_usd", month="2026-11", provider="openai", account="org-main") is None


def test_the_worker_runs_until_it_is_told_to_stop_and_answers_meanwhile(store, writer, monkeypatch):
    served: list[tuple[str, int]] = []

    def noted(monitor: Monitor, host: str, port: int):
        server = serve(monitor, host, port)
        served.append(server.server_address[:2])
        return server

    monkeypatch.setattr(worker_module, "serve", noted)
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(settings(store), stop))
    thread.start()
    try:
        base = until(lambda: served and "http://{}:{}".format(*served[0]))
        assert until(lambda: get(f"{base}/readyz")[0] == 200)
        assert get(f"{base}/healthz") == (200, "ok\n")
        assert "tollway_audit_duplicate_rows" in get(f"{base}/metrics")[1]
        assert get(f"{base}/other")[0] == 404
    finally:
        stop.set()
        thread.join(timeout=20)
    assert not thread.is_alive()


def test_a_worker_that_is_not_ready_says_so():
    server = serve(Monitor(), "127.0.0.1", 0)
    try:
        assert get("http://{}:{}/readyz".format(*server.server_address[:2]))[0] == 503
    finally:
        server.shutdown()
        server.server_close()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own address
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def until(ask: Callable[[], object], within_s: float = 20) -> object:
    """The first true answer. Raises AssertionError when none comes in time."""
    deadline, pause = clock.monotonic() + within_s, threading.Event()
    while not (answer := ask()):
        assert clock.monotonic() < deadline
        pause.wait(0.02)
    return answer
