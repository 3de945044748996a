"""The scheduled work: loads the rate cards, rebuilds stale rollups, audits closed hours, reconciles each night.

A thin loop: `schedule.due` decides, `Worker` acts. A job that fails is logged, counted and tried again at the next
turn; a store that is away is waited for. Its figures are on a small HTTP port (/healthz /readyz /metrics).
"""

import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import assert_never

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from analytics import audit, rate_cards, rollups
from analytics.monitor import Monitor, serve
from analytics.reconciliation import reconcile_month
from analytics.reconciliation.policy import FOCUS, Policy
from analytics.rollups.rebuild import RollupContested
from analytics.schedule import Audit, Done, Job, LoadCards, Reconcile, RollUp, due
from analytics.windows import Window
from gateway.domain import clock
from gateway.domain.card_file import CardFileInvalid, newest, newest_name, together
from gateway.domain.money import plain
from gateway.domain.rate_card import RateCard
from sql import clients, credentials

log = logging.getLogger("tollway.worker")

TURN_S = 15.0
COMPLAINT_MAX = 240
RETRY_S = 1.0
"""Between turns while the store is not there yet."""

_RETRIED = (
    *(ClickHouseError, OSError, ArithmeticError, LookupError),
    *(credentials.CredentialsError, RollupContested, CardFileInvalid),
)
"""What a later turn may not meet again: a store away, cards swapped under a query, a total that disagrees."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the worker is run. The store's password is `store_password`, else the one the store left in secrets_dir."""

    store_url: str
    secrets_dir: Path
    cards: Sequence[RateCard]
    """Those of the configuration."""
    rates_dir: Path | None = None
    """Where the approved ones are, looked at each turn; None = there are none."""
    host: str = "127.0.0.1"
    port: int = 8051
    store_user: str = credentials.WRITER
    store_password: str = field(default="", repr=False)
    store_ca: Path | None = None
    policy: Policy = FOCUS
    now: Callable[[], datetime] = clock.utc_now


def run(settings: Settings, stop: threading.Event | None = None) -> None:
    """Work until SIGTERM or SIGINT (or `stop` is set); returns when the work at hand is done.

    Waits for a store that is not up yet. Raises OSError when the port is taken, RateCardInvalid for cards that overlap.
    """
    ending = stop or threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
    monitor = Monitor()
    server = serve(monitor, settings.host, settings.port)
    log.info("the worker answers on http://%s:%s", *server.server_address[:2])
    worker = Worker(settings, monitor)
    try:
        while not ending.is_set():
            ending.wait(TURN_S if worker.turn(settings.now()) else RETRY_S)
    finally:
        server.shutdown()
        server.server_close()
        worker.close()


class Worker:
    """Does what is due, and remembers that it did."""

    def __init__(self, settings: Settings, monitor: Monitor) -> None:
        self._settings = settings
        self._monitor = monitor
        self._done = Done()
        self._client: Client | None = None
        self._complaint = ""
        self._version = ""

    def turn(self, now: datetime) -> bool:
        """Do the jobs that are due; false when one failed. Any other failure than a passing one is raised."""
        whole = True
        if self._settings.rates_dir and newest_name(self._settings.rates_dir) != self._version:
            self._done = replace(self._done, cards_loaded=False)
        while jobs := due(self._done, now) if whole else ():
            for job in jobs:
                whole = self._try(job, now) and whole
        return whole

    def close(self) -> None:
        """Let go of the store."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _try(self, job: Job, now: datetime) -> bool:
        name = type(job).__name__
        try:
            if self._client is None:
                self._client = self._connect()
            self._do(self._client, job, now)
        except _RETRIED as fault:
            self._complain(name, fault)
            self._monitor.failed(name)
            self.close()
            return False
        self._complaint = ""
        self._done = self._done.after(job)
        self._monitor.succeeded(name, now.timestamp())
        return True

    def _complain(self, name: str, fault: Exception) -> None:
        """Once for each kind of fault, not at every turn: a store that is away for an hour is one line."""
        kind = f"{name}: {type(fault).__name__}"
        if kind != self._complaint:
            log.warning("%s failed and will be tried again: %s", name, " ".join(str(fault).split())[:COMPLAINT_MAX])
        self._complaint = kind

    def _connect(self) -> Client:
        """The password is read at each connect: the store makes it at its own first start, which may be later."""
        given = self._settings
        password = given.store_password or credentials.read(given.secrets_dir.parent, credentials.WRITER)
        return clients.writer(given.store_url, password, user=given.store_user, ca=given.store_ca)

    def _do(self, client: Client, job: Job, now: datetime) -> None:
        match job:
            case LoadCards():
                self._load_cards(client, now)
                self._monitor.ready.set()
            case RollUp(at, whole):
                self._monitor.rolled_up(rollups.catch_up(client, now=at, whole=whole))
            case Audit(window):
                self._audit(client, window, now)
            case Reconcile(months, _):
                self._reconcile(client, months, now)
            case _:
                assert_never(job)

    def _audit(self, client: Client, window: Window, now: datetime) -> None:
        found = audit.duplicates(client, window)
        for row in found.iter_rows(named=True):
            log.error("duplicates in the hour of %(hour)s: %(keys)s %(kind)s, %(extra)s rows too many", row)
        window = audit.widened(client, window)
        checks = audit.checks(client, window)
        audit.record(client, checks, window, now=now)
        self._monitor.audited(found, checks, now.timestamp())
        for check in checks:
            if not check.holds and check.compared is not None:
                log.error(
                    "audit: %s is broken in %d places: tollway audit says where", check.equality, len(check.faults)
                )

    def _load_cards(self, client: Client, now: datetime) -> None:
        folder = self._settings.rates_dir
        approved = newest(folder) if folder else None
        count = rate_cards.load(client, together(self._settings.cards, approved), now=now)
        self._version = approved.name if approved else ""
        version = f"version {approved.version}, {approved.sha256[:16]}" if approved else "none of them approved"
        log.info("%d rate cards are in the store: %s", count, version)

    def _reconcile(self, client: Client, months: Sequence[str], now: datetime) -> None:
        found = [reconcile_month(client, month, now=now, policy=self._settings.policy) for month in months]
        self._monitor.reconciled(found)
        for month in found:
            for account in month.accounts:
                log.info(
                    "%s %s/%s: %s, invoiced %s, metered %s, variance %s",
                    *(month.month, account.provider, account.account, account.status),
                    *(plain(amount) for amount in (account.invoiced, account.metered, account.variance)),
                )
