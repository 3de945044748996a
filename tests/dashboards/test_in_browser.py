"""The real process, a real store, a real browser: finance opens both pages, filters, and finds what SQL says."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from analytics.reconciliation import reconcile_month
from gateway.domain import clock
from tests.conftest import ROOT, RunningStore
from tests.dashboards import seeded
from tests.e2e.browser import Browser, browser

pytestmark = pytest.mark.slow

RUN = """
import os
from dashboards.server import run
run(host="127.0.0.1", port=int(os.environ["PORT"]), store_url=os.environ["URL"], store_password=os.environ["PASSWORD"])
"""
START_SECONDS = 30


@dataclass(frozen=True)
class Dashboards:
    """A running dashboards process and the store it reads."""

    url: str
    store: RunningStore

    def spend(self, where: str = "1") -> Decimal:
        """What SQL says was metered."""
        rows = self.store.writer.query(f"SELECT sum(cost_usd) FROM tollway.rated_attempts WHERE {where}").result_rows  # noqa: S608 - the tests' own words
        return Decimal(rows[0][0])


def start(store: RunningStore) -> tuple[subprocess.Popen[str], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PORT": str(port), "URL": store.url, "PASSWORD": store.password("reader")}
    process = subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    url, deadline = f"http://127.0.0.1:{port}", clock.monotonic() + START_SECONDS
    while clock.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return process, url
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the dashboards did not come up: {process.communicate()[1]}")


@pytest.fixture(scope="module")
def dashboards(store: RunningStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboards]:
    store.empty()
    now = clock.utc_now()
    seeded.land(store, seeded.traffic(now.date()), now=now)
    seeded.invoice(store, tmp_path_factory.mktemp("invoice"), now.date(), now=now)
    process, url = start(store)
    try:
        yield Dashboards(url, store)
    finally:
        process.terminate()
        said = process.communicate(timeout=20)[1]
    assert (process.returncode, said) == (0, ""), "it ends at SIGTERM, cleanly and without a word"


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with browser() as one:
        yield one


@pytest.fixture
def page(dashboards: Dashboards, opened: Browser) -> Iterator[Browser]:
    yield opened
    assert opened.complaints() == []
    hosts = {urlsplit(url).netloc for url in opened.requests()}
    assert hosts == {urlsplit(dashboards.url).netloc}, "no request leaves the origin"


def choose(page: Browser, widget: str, value: str) -> None:
    """Pick a value in a multiple choice."""
    page.click(f"#{widget}")
    page.click("[role=option]", value)


def test_the_spend_page_shows_what_sql_says_and_a_filter_narrows_it(dashboards: Dashboards, page: Browser) -> None:
    page.open(f"{dashboards.url}/spend")
    assert Decimal(page.exact("spend-kpi-total")) == dashboards.spend() > 0
    choose(page, "spend-tenant", "globex")
    wanted = dashboards.spend("tenant = 'globex'")
    page.until(lambda: Decimal(page.exact("spend-kpi-total")) == wanted, "the total of globex alone")
    assert "tenant=globex" in page.driver.current_url
    page.until(
        lambda: [cell.text for cell in page.all("#spend-grid .ag-center-cols-container [col-id=tenant]")] == ["globex"],
        "globex in the grid",
    )
    page.driver.back()
    page.until(
        lambda: Decimal(page.exact("spend-kpi-total")) == dashboards.spend(), "all tenants again after going back"
    )
    page.until(lambda: not page.all("#spend-tenant .mantine-Pill-root"), "the filter bar follows the address")


def test_links_between_pages_carry_the_filters(dashboards: Dashboards, page: Browser) -> None:
    month = f"{clock.utc_now():%Y-%m}"
    page.open(f"{dashboards.url}/spend?month={month}&provider=openai")
    page.exact("spend-kpi-total")
    page.until(
        lambda: "provider=openai" in str(page.find("#nav-reconciliation").get_attribute("href")),
        "the link with its filters",
    )
    page.click("#nav-reconciliation")
    page.exact("recon-kpi-metered")
    assert page.driver.current_url == f"{dashboards.url}/reconciliation?month={month}&provider=openai"
    assert page.driver.title == "Reconciliation · Tollway"


def test_the_reconciliation_page_agrees_with_the_books(dashboards: Dashboards, page: Browser) -> None:
    now = clock.utc_now()
    month = reconcile_month(dashboards.store.writer, f"{now:%Y-%m}", now=now)
    page.open(f"{dashboards.url}/reconciliation?month={now:%Y-%m}")
    shown = {
        name: Decimal(page.exact(f"recon-kpi-{name}")) for name in ("invoiced", "metered", "variance", "unexplained")
    }
    assert shown == {name: getattr(month, name) for name in shown}
    assert shown["invoiced"] == Decimal("0.01")
    assert shown["metered"] == dashboards.spend()
    page.until(lambda: page.all(".exceptions li"), "the exceptions")
    page.until(lambda: page.all("#recon-steps-figure .bars path"), "the waterfall")


def test_a_chart_can_be_read_as_a_table(dashboards: Dashboards, page: Browser) -> None:
    page.open(f"{dashboards.url}/spend")
    page.exact("spend-kpi-total")
    page.click("#spend-days-view label", "Table")
    foot = page.until(lambda: page.all("#spend-days-table tfoot td")[2], "the foot of the table")
    page.until(foot.is_displayed, "the table in sight")
    assert Decimal(str(foot.get_attribute("title"))) == dashboards.spend()


def test_a_reader_can_switch_to_dark_and_the_chart_stays_readable(dashboards: Dashboards, page: Browser) -> None:
    page.open(f"{dashboards.url}/spend")
    page.until(lambda: page.all("#spend-days-figure .xtick text"), "the chart")
    before = page.driver.execute_script("return getComputedStyle(document.querySelector('.xtick text')).fill")
    page.click("button[aria-label='Toggle color scheme']")
    page.until(lambda: page.find("html").get_attribute("data-mantine-color-scheme") == "dark", "the dark theme")
    after = page.driver.execute_script("return getComputedStyle(document.querySelector('.xtick text')).fill")
    assert before != after


def test_it_can_be_read_on_a_phone(dashboards: Dashboards) -> None:
    with browser(width=390, height=800) as phone:
        for path in ("spend", "reconciliation"):
            phone.open(f"{dashboards.url}/{path}")
            phone.until(lambda: phone.all(".kpi-figure"), "the figures")
            assert phone.driver.execute_script("return document.documentElement.scrollWidth") == 390, (
                "nothing sticks out"
            )
        phone.click("#burger")
        phone.until(lambda: phone.find("#nav-spend").is_displayed(), "the navigation")


def test_a_store_that_goes_away_is_said_so_on_the_page(start_store, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    store = start_store(tmp_path / "data")
    store.migrate()
    process, url = start(store)
    try:
        with browser() as page:
            page.open(f"{url}/spend")
            page.find("#state-empty-store")
            store.kill()
            page.click("#spend-refresh")
            assert "tollway doctor" in page.find("#state-store-down").text
            assert httpx.get(f"{url}/healthz").status_code == 200
            assert httpx.get(f"{url}/readyz").status_code == 503
    finally:
        process.terminate()
        process.communicate(timeout=20)
