"""`python -m deploy.bench.queries [--attempts N]`: what dashboards ask of 13 months of attempts, and how long it takes.

The attempts are made by the engine (50 tenants, 40 aliases, a share of fallbacks, errors and cancellations), landed in
`spans` a day at a time and rolled up by the worker's own code; then every question is asked warm, through the functions
that the pages call. Prints a table and the plan of the slowest statement. 100 million attempts take some 6 GB of disk.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console
from rich.table import Table

import sql
from analytics import latency, rate_cards, rollups, spend
from analytics.rollups import Grain, Slice
from analytics.rollups.sources import day_of
from analytics.windows import Window
from deploy.bench.processes import free_port
from gateway.domain import clock
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass
from sql import clients, credentials
from sql.statements import bind

NOW = datetime(2026, 11, 20, 14, 40, tzinfo=UTC)
DAYS = 395
ROUNDS = 10
READY_WITHIN_S = 60.0
TENANT = spend.Filters(tenants=["tenant-07"])
ALIAS = spend.Filters(aliases=["alias-07"])
WINDOWS = {
    "13 months": Window(day_of(NOW) - timedelta(days=DAYS - 1), NOW),
    "90 days": Window(day_of(NOW) - timedelta(days=90), NOW),
    "this month": Window(day_of(NOW).replace(day=1), NOW),
    "24 hours": Window(NOW - timedelta(hours=24), NOW),
}
QUESTIONS: dict[str, Callable[[Client, Window, spend.Filters], object]] = {
    "spend by day and depth": spend.by_day_depth,
    "spend by alias and tenant": spend.by_alias_tenant,
    "figures, and those before": spend.kpis,
    "latency by alias": lambda client, window, filters: latency.quantiles(client, window, latency.By.ALIAS, filters),
    "latency by day": lambda client, window, filters: latency.quantiles(client, window, latency.By.DAY, filters),
    "choices of the filters": lambda client, window, _: spend.choices(client, window),
}
STATEMENTS = {
    "spend by day and depth": sql.load("spend_by_day_depth"),
    "spend by alias and tenant": sql.load("spend_by_alias_tenant"),
    "figures, and those before": sql.load("spend_figures"),
    "latency by alias": sql.load("latency_buckets"),
    "latency by day": sql.load("latency_buckets"),
    "choices of the filters": sql.load("spend_choices"),
}
GRAINS = {"spend by alias and tenant": Grain.MONTH, "choices of the filters": Grain.MONTH}
SCOPES = {"all": spend.ALL, "one tenant": TENANT, "one alias": ALIAS}


@dataclass(frozen=True, slots=True)
class Asked:
    """One question of one window, and its times in ms, sorted."""

    question: str
    window: str
    scope: str
    times_ms: list[float]

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.times_ms[len(self.times_ms) // 2]

    @property
    def p95_ms(self) -> float:
        """All but one in twenty are as quick; of so few rounds, all but the slowest."""
        return self.times_ms[-2]


def main() -> None:
    """Make the attempts, roll them up, ask, and print."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.queries", description="Time what dashboards ask.")
    parser.add_argument("--attempts", type=int, default=100_000_000, help="how many, over 13 months")
    parser.add_argument("--folder", type=Path, help="where the store lies; a temporary folder if not given")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tollway-bench-", dir=chosen.folder) as folder:
        _bench(Path(folder), chosen.attempts)


def _bench(folder: Path, attempts: int) -> None:
    port = free_port()
    command = [sys.executable, "-m", "sql.embedded", "--data-dir", str(folder), "--listen", f"127.0.0.1:{port}"]
    store = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{port}"
        writer = _writer(url, folder)
        reader = clients.reader(url, credentials.read(folder, credentials.READER))
        _fill(writer, attempts)
        asked = [_ask(reader, *one) for one in _matrix()]
        _print(writer, asked)
    finally:
        store.terminate()
        store.wait(60)


def _matrix() -> list[tuple[str, str, str]]:
    """Every question of every window, and of the longest one for one tenant and one alias too."""
    longest = next(iter(WINDOWS))
    return [
        (question, window, scope)
        for question in QUESTIONS
        for window in WINDOWS
        for scope in SCOPES
        if scope == "all" or (window == longest and not question.startswith("choices"))
    ]


def _writer(url: str, folder: Path) -> Client:
    """Once the store answers, which takes some seconds."""
    deadline = clock.monotonic() + READY_WITHIN_S
    while True:
        try:
            return clients.writer(url, credentials.read(folder, credentials.WRITER))
        except (ClickHouseError, OSError, credentials.CredentialsError):
            if clock.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _fill(client: Client, attempts: int) -> None:
    sql.migrate(client, now=clock.utc_now())
    rate_cards.load(client, _cards(), now=NOW)
    began = clock.monotonic()
    for number in range(DAYS):
        day = (day_of(NOW) - timedelta(days=number)).date()
        sql.execute(client, "bench_attempts", day=day, rows=attempts // DAYS, until=NOW)
        if number % 30 == 0:
            sys.stderr.write(f"{number + 1} days made after {clock.monotonic() - began:.0f} s\n")
    began = clock.monotonic()
    done = rollups.catch_up(client, now=NOW)
    sys.stderr.write(f"rolled up in {clock.monotonic() - began:.0f} s: {done}\n")
    for whole in (True, False):
        began = clock.monotonic()
        rollups.catch_up(client, now=NOW, whole=whole)
        look = "every day" if whole else "since yesterday"
        sys.stderr.write(f"a look at {look} that finds nothing stale: {1000 * (clock.monotonic() - began):.0f} ms\n")


def _cards() -> list[RateCard]:
    return [
        RateCard(
            provider=f"vendor-{vendor}",
            model=f"model-{model}",
            currency="USD",
            effective_from=datetime(2025, 1, 1, tzinfo=UTC),
            per_million={
                TokenClass.INPUT_UNCACHED: Decimal("0.15") * (model + 1),
                TokenClass.CACHE_READ: Decimal("0.075") * (model + 1),
                TokenClass.OUTPUT: Decimal("0.60") * (model + 1),
            },
        )
        for vendor in range(4)
        for model in range(10)
    ]


def _ask(client: Client, question: str, window: str, scope: str) -> Asked:
    times = []
    for _ in range(ROUNDS + 2):
        began = clock.monotonic()
        QUESTIONS[question](client, WINDOWS[window], SCOPES[scope])
        times.append(1000 * (clock.monotonic() - began))
    return Asked(question, window, scope, sorted(times[2:]))


def _print(client: Client, asked: list[Asked]) -> None:
    table = Table("question", "window", "scope", "p50 ms", "p95 ms")
    for one in asked:
        table.add_row(one.question, one.window, one.scope, f"{one.p50_ms:.0f}", f"{one.p95_ms:.0f}")
    console = Console(width=120)
    console.print(table)
    sizes = sql.fetch(client, "bench_sizes")
    console.print(sizes)
    slowest = max(asked, key=lambda one: one.p50_ms)
    console.print(f"slowest: {slowest.question}, {slowest.window}, {slowest.scope}; of its parts:")
    for part in rollups.slices(
        WINDOWS[slowest.window], rollups.reach(client), GRAINS.get(slowest.question, Grain.TOTAL)
    ):
        console.print(f"  {part.cells or 'facts'} from {part.since:%Y-%m-%dT%H:%M} until {part.until:%Y-%m-%dT%H:%M}")
        for line in _plan(client, slowest, part):
            console.print(f"    {line}", highlight=False)


def _plan(client: Client, slowest: Asked, part: Slice) -> list[str]:
    """How the engine reads that part: tables, indexes and how much of them is left."""
    statement = sql.load("spend_open") if part.cells is None else STATEMENTS[slowest.question]
    filters = SCOPES[slowest.scope]
    given = {
        "cells": part.cells or "rollup_facts",
        "since": part.since,
        "until": part.until,
        "by": "alias",
        "tenants": list(filters.tenants),
        "aliases": list(filters.aliases),
        "providers": [],
        "accounts": [],
    }
    params = bind(statement, {name: given[name] for name in statement.params})
    return [row[0] for row in client.query(f"EXPLAIN indexes = 1 {statement.text}", parameters=params).result_rows]


if __name__ == "__main__":
    main()
