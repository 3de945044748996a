"""The demo from its first process to its report: real traffic, two invoices, one month that has to close.

    with Vendors(...) as vendors: run_demo(options, files, vendors, stack, screen)

The vendors and the stack keep serving when it returns; whoever started them stops them.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from clickhouse_connect.driver.client import Client

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
from deploy.settings import Settings, host_port
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
class _Month:
    """The UTC month that is reconciled, from its first instant to the midnight after `now`."""

    name: str
    since: datetime
    until: datetime


def run_demo(options: DemoOptions, files: DemoFiles, vendors: Vendors, stack: Stack, screen: Screen) -> DemoReport:
    """Start the stack, send the traffic, wait for it to land, import both invoices, reconcile and export the month.

    Raises OperatorError for a part that does not come up or spans that do not land, BooksDisagree when a vendor's
    ledger and ours differ on a request that both say they know exactly.
    """
    from deploy.store_access import writer

    screen.step("starting the store, the collector, the gateway, the dashboards and the worker")
    stack.start()
    vendors.wait_ready()
    screen.step(f"replaying {options.requests} requests of the trace in {options.traffic_s:.0f} s")
    tally, killed = asyncio.run(_traffic(options, files, stack, screen))
    screen.step("waiting for every span to land")
    client = writer(stack.settings)
    landed_s = _wait_until_landed(client, files, stack.settings)
    now = clock.utc_now()
    month = _month(now)
    screen.step("importing both vendors' invoices and reconciling")
    return _close(client, files, stack.settings, month, now, _Traffic(tally, killed, landed_s))


@dataclass(frozen=True, slots=True)
class _Traffic:
    tally: Tally
    killed: Sequence[str]
    landed_s: float


async def _traffic(options: DemoOptions, files: DemoFiles, stack: Stack, screen: Screen) -> tuple[Tally, list[str]]:
    """The replay, and the kills beside it."""
    arrivals = trace.speed_up(trace.load(), count=options.requests, seconds=options.traffic_s)
    planned = plan.plan(arrivals, seed=options.seed)
    wanted = [name for name, asked in _kills(options) if asked]
    due = {name: (max(1, int(KILL_AFTER[name] * len(planned))), asyncio.Event()) for name in wanted}

    def progress(done: int) -> None:
        screen.traffic(done, len(planned))
        for count, event in due.values():
            if done >= count:
                event.set()

    async def kill(name: str) -> None:
        await due[name][1].wait()
        screen.step(f"killing the {name} (SIGKILL) and starting it again")
        await asyncio.to_thread(stack.kill_and_restart, name)
        await asyncio.to_thread(stack.wait_ready, name)

    host, port = host_port(stack.settings.file.gateway.listen)
    async with asyncio.TaskGroup() as group:
        for name in wanted:
            group.create_task(kill(name))
        tally = await replay.replay(planned, host=host, port=port, keys=files.tenant_keys, progress=progress)
    return tally, wanted


def _kills(options: DemoOptions) -> tuple[tuple[str, bool], ...]:
    return (("gateway", options.kill_gateway), ("collector", options.kill_collector))


def _wait_until_landed(client: Client, files: DemoFiles, settings: Settings) -> float:
    import sql

    month = _month(clock.utc_now())

    def open_requests() -> int:
        return sum(at_vendors.open_requests(books) for books in _books(files, month))

    return Landing(
        gateway_url=settings.gateway_url,
        collector_url=settings.otlp_url,
        open_requests=open_requests,
        landed=lambda: sql.fetch(client, "deploy_landed").row(0),
    ).wait()


def _close(
    client: Client, files: DemoFiles, settings: Settings, month: _Month, now: datetime, traffic: _Traffic
) -> DemoReport:
    """The month's end: invoices in, variance out, files written; and the witness beside it."""
    import sql
    from analytics import audit, exports, rate_cards
    from analytics.reconciliation import reconcile_month
    from analytics.windows import Window

    rate_cards.load(client, settings.file.routing().rate_cards.cards, now=now)
    invoices = _import_invoices(client, files, month, now)
    result = reconcile_month(client, month.name, now=now)
    pack = exports.write_month(client, month.name, files.data / "exports" / month.name, now=now)
    attempts = sql.fetch(client, "demo_attempts", since=month.since, until=month.until).to_dicts()
    books = _books(files, month)
    return DemoReport(
        month=month.name,
        data=files.data,
        tally=traffic.tally,
        killed=traffic.killed,
        attempts=len(attempts),
        attempts_by_outcome=Counter(str(attempt["outcome"]) for attempt in attempts),
        fallbacks=sum(attempt["fallback_depth"] > 0 for attempt in attempts),
        spans_landed=int(sql.fetch(client, "deploy_landed")["spans"][0]),
        duplicates=audit.duplicate_count(client, Window(month.since, month.until)),
        landed_s=traffic.landed_s,
        metered=result.metered,
        invoiced=result.invoiced,
        variance_by_class={str(name): amount for name, amount in result.by_class.items()},
        expected_by_class=expected_by_class(books, attempts),
        unexplained=result.unexplained,
        surcharge=sum((book.surcharge_usd for book in books), start=result.unexplained * 0),
        books=check_books(books, attempts),
        invoices=invoices,
        files=pack.paths,
        urls=_urls(settings, files),
    )


def _import_invoices(client: Client, files: DemoFiles, month: _Month, now: datetime) -> list[Path]:
    """Fetch each vendor's invoice of the month so far, import it, and say where the file is."""
    from analytics.invoices import import_file

    paths = []
    for vendor in files.vendors:
        path = at_vendors.fetch_export(vendor, files.data / "invoices", since=month.since, until=month.until)
        import_file(client, path, provider=vendor.provider, account=vendor.account, now=now)
        paths.append(path)
    return paths


def _books(files: DemoFiles, month: _Month) -> list[VendorBooks]:
    return [at_vendors.books_of(vendor, since=month.since, until=month.until) for vendor in files.vendors]


def _month(now: datetime) -> _Month:
    """The month of `now`, up to the end of its day."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _Month(f"{midnight:%Y-%m}", midnight.replace(day=1), midnight + timedelta(days=1))


def _urls(settings: Settings, files: DemoFiles) -> dict[str, str]:
    found: dict[str, Any] = {
        "gateway": f"{settings.gateway_url}/v1",
        "dashboards": f"{settings.dashboards_url}/",
        "store": settings.store_url,
    }
    return found | {vendor.name: vendor.url for vendor in files.vendors}
