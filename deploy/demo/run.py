"""The demo from its first process to its report: real traffic, two invoices, one month that has to close.

    with Vendors(...) as vendors: run_demo(options, files, vendors, stack, screen)

The vendors and the stack keep serving when it returns; whoever started them stops them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from clickhouse_connect.driver.client import Client

import sql
from analytics import audit, exports, rate_cards
from analytics.invoices import import_file
from analytics.invoices.formats import openai_costs_json
from analytics.reconciliation import reconcile_month
from analytics.windows import Window
from deploy.close import close_of
from deploy.control import control
from deploy.demo import vendors as at_vendors
from deploy.demo.config import DemoFiles
from deploy.demo.landing import Landing
from deploy.demo.options import DemoOptions
from deploy.demo.report import DemoReport
from deploy.demo.screen import Screen
from deploy.demo.traffic import plan, replay, trace
from deploy.demo.traffic.replay import Tally
from deploy.demo.vendors import Vendors
from deploy.demo.witness import VendorBooks, check_books, expected_by_class
from deploy.errors import OperatorError
from deploy.settings import Settings, host_port
from deploy.store_access import writer
from gateway.domain import clock

KILL_AFTER = {"gateway": 0.35, "collector": 0.6}
"""The share of the requests that have ended when a part is killed."""


class Stack(Protocol):
    """Tollway's own processes, as deploy.stack has them."""

    settings: Settings

    def start(self, on_ready: Callable[[str], None] = ...) -> None:
        """Start every part; returns when all answer."""

    def kill_and_restart(self, name: str) -> None:
        """SIGKILL a part and start it again."""

    def wait_ready(self, name: str) -> None:
        """Block until that part answers."""


@dataclass(frozen=True, slots=True)
class Month:
    """The UTC month that is reconciled, from its first instant to the midnight after `now`."""

    name: str
    since: datetime
    until: datetime


class DemoStopped(OperatorError):
    """Somebody asked for the end before there was a report."""


def run_demo(
    options: DemoOptions,
    files: DemoFiles,
    vendors: Vendors,
    stack: Stack,
    screen: Screen,
    stopped: Callable[[], bool] = lambda: False,
) -> DemoReport:
    """Start the stack, send the traffic, wait for it to land, import both invoices, reconcile and export the month.

    `stopped` is asked on the way; when it says yes, DemoStopped ends the run. Raises OperatorError for a part that does
    not come up or spans that do not land, BooksDisagree when a vendor's ledger and ours differ on a request that both
    say they know exactly.
    """
    run = _Run(options, files, stack, screen, stopped)
    run.step("starting the store, the collector, the gateway, the dashboards and the worker")
    stack.start()
    vendors.wait_ready()
    run.step(f"replaying {options.requests} requests of the trace in {options.traffic_s:.0f} s")
    tally = run.traffic()
    run.step("waiting for every span to land")
    client = writer(stack.settings)
    landed_s = run.wait_until_landed(client)
    run.step("importing both vendors' invoices and reconciling")
    return run.close(client, tally, landed_s, now=clock.utc_now())


@dataclass(frozen=True, slots=True)
class _Run:
    """One run on its way: what it was told, what it runs on, and who watches."""

    options: DemoOptions
    files: DemoFiles
    stack: Stack
    screen: Screen
    stopped: Callable[[], bool]

    def go_on(self) -> None:
        """Raises DemoStopped when somebody asked for the end."""
        if self.stopped():
            raise DemoStopped("stopped before the summary")

    def step(self, text: str) -> None:
        """The next step, unless it is the end."""
        self.go_on()
        self.screen.step(text)

    @property
    def kills(self) -> list[str]:
        """The parts that get a SIGKILL in mid-traffic."""
        asked = {"gateway": self.options.kill_gateway, "collector": self.options.kill_collector}
        return [name for name in KILL_AFTER if asked[name]]

    def traffic(self) -> Tally:
        """The replay, in an event loop of its own. An error of ours leaves it as itself, not inside a group."""
        try:
            return asyncio.run(self._replay())
        except ExceptionGroup as group:
            raise first_of(group, OperatorError) or group from None

    async def _replay(self) -> Tally:
        """The requests, and the kills beside them."""
        arrivals = trace.speed_up(trace.load(), count=self.options.requests, seconds=self.options.traffic_s)
        planned = plan.plan(arrivals, seed=self.options.seed)
        due = {name: (max(1, int(KILL_AFTER[name] * len(planned))), asyncio.Event()) for name in self.kills}

        def progress(done: int) -> None:
            self.go_on()
            self.screen.traffic(done, len(planned))
            for count, event in due.values():
                if done >= count:
                    event.set()

        async def kill(name: str, event: asyncio.Event) -> None:
            await event.wait()
            self.step(f"killing the {name} (SIGKILL) and starting it again")
            await asyncio.to_thread(self.stack.kill_and_restart, name)
            await asyncio.to_thread(self.stack.wait_ready, name)

        host, port = host_port(self.stack.settings.file.gateway.listen)
        async with asyncio.TaskGroup() as group:
            for name, (_, event) in due.items():
                group.create_task(kill(name, event))
            return await replay.replay(planned, host=host, port=port, keys=self.files.tenant_keys, progress=progress)

    def wait_until_landed(self, client: Client) -> float:
        """Block until the store has it all; the seconds it took."""
        month = month_of(clock.utc_now())

        def open_requests() -> int:
            self.go_on()
            return sum(at_vendors.open_requests(books) for books in _books(self.files, month))

        return Landing(
            gateway_url=self.stack.settings.gateway_url,
            collector_url=self.stack.settings.otlp_url,
            open_requests=open_requests,
            landed=lambda: sql.fetch(client, "deploy_landed").row(0),
        ).wait()

    def close(self, client: Client, tally: Tally, landed_s: float, *, now: datetime) -> DemoReport:
        """The month's end: invoices in, variance out, files written; and the witness beside it."""
        month, settings = month_of(now), self.stack.settings
        rate_cards.load(client, settings.routing().rate_cards.cards, now=now)
        invoices = _import_invoices(client, self.files, month, now)
        result = reconcile_month(client, month.name, now=now)
        pack = close_of(settings, control(settings)).pack(month.name, now=now)
        attempts = sql.fetch(client, "demo_attempts", since=month.since, until=month.until).to_dicts()
        books = _books(self.files, month)
        return DemoReport(
            month=month.name,
            data=self.files.data,
            tally=tally,
            killed=self.kills,
            attempts=len(attempts),
            attempts_by_outcome=Counter(str(attempt["outcome"]) for attempt in attempts),
            fallbacks=sum(attempt["fallback_depth"] > 0 for attempt in attempts),
            spans_landed=int(sql.fetch(client, "deploy_landed")["spans"][0]),
            duplicates=audit.duplicate_count(client, Window(month.since, month.until)),
            landed_s=landed_s,
            metered=result.metered,
            invoiced=result.invoiced,
            variance_by_class={str(name): amount for name, amount in result.by_class.items()},
            expected_by_class=expected_by_class(books, attempts),
            unexplained=result.unexplained,
            surcharge=sum((book.surcharge_usd for book in books), Decimal(0)),
            books=check_books(books, attempts),
            invoices=invoices,
            files=exports.write(pack, self.files.data / "exports" / month.name),
            urls=_urls(settings, self.files),
        )


def first_of(group: BaseException, kind: type[Exception]) -> Exception | None:
    """The first error of that kind in a group, however deep; None when there is none."""
    if isinstance(group, BaseExceptionGroup):
        return next((found for inner in group.exceptions if (found := first_of(inner, kind))), None)
    return group if isinstance(group, kind) else None


def _import_invoices(client: Client, files: DemoFiles, month: Month, now: datetime) -> list[Path]:
    """Fetch each vendor's invoice of the month so far, import it, and say where the file is."""
    paths = []
    for vendor in files.vendors:
        path = at_vendors.fetch_export(vendor, files.data / "invoices", since=month.since, until=month.until)
        # Days without traffic alone do not tell of which report they are.
        importer = openai_costs_json.IMPORTER if vendor.export_format == "json" else None
        import_file(client, path, provider=vendor.provider, account=vendor.account, now=now, importer=importer)
        paths.append(path)
    return paths


def _books(files: DemoFiles, month: Month) -> list[VendorBooks]:
    return [at_vendors.books_of(vendor, since=month.since, until=month.until) for vendor in files.vendors]


def month_of(now: datetime) -> Month:
    """The month of `now`, up to the end of its day."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Month(f"{midnight:%Y-%m}", midnight.replace(day=1), midnight + timedelta(days=1))


def _urls(settings: Settings, files: DemoFiles) -> dict[str, str]:
    found: dict[str, Any] = {
        "gateway": f"{settings.gateway_url}/v1",
        "dashboards": f"{settings.dashboards_url}/",
        "store": settings.store_url,
    }
    return found | {vendor.name: vendor.url for vendor in files.vendors}
