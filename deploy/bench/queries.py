"""`python -m deploy.bench.queries [--attempts N] [--data DIR]`: what dashboards ask of 13 months of attempts.

The attempts are made by the engine and rolled up by the worker's own code; then every question is asked warm, through
the functions that the pages call. Prints a table and how the engine reads for the slowest. 100 million attempts take
some 13 GB of disk; in a folder of one's own (`--data`) they are made once and asked as often as wished.
"""

import argparse
import asyncio
import re
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.table import Table

import sql
from analytics import latency, rollups, spend
from analytics.rollups.sources import day_of
from analytics.windows import Window
from deploy.bench import attempts
from deploy.bench.attempts import DAYS, Asking
from deploy.bench.processes import cpu_s
from gateway.domain import clock

if TYPE_CHECKING:
    import pyarrow as pa
    from clickhouse_connect.driver.asyncclient import AsyncClient
    from clickhouse_connect.driver.client import Client

Question = Callable[["AsyncClient", Window, spend.Filters], Awaitable[object]]
ROUNDS = 10
TENANT = spend.Filters(tenants=["tenant-07"])
ALIAS = spend.Filters(aliases=["alias-07"])
QUESTIONS: dict[str, Question] = {
    "spend by day and depth": spend.aby_day_depth,
    "spend by alias and tenant": spend.aby_alias_tenant,
    "figures, and those before": spend.akpis,
    "latency by alias": lambda client, window, filters: latency.aquantiles(client, window, latency.By.ALIAS, filters),
    "latency by day": lambda client, window, filters: latency.aquantiles(client, window, latency.By.DAY, filters),
    "choices of the filters": lambda client, window, _: spend.achoices(client, window),
}
LONGEST = "13 months"
SCOPES = {"all": spend.ALL, "one tenant": TENANT, "one alias": ALIAS}


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, of when and of whom."""

    question: str
    name: str
    """The window's."""
    window: Window
    scope: str

    async def put(self, client: "AsyncClient") -> float:
        """Ask it; how many ms it took."""
        began = clock.monotonic()
        await QUESTIONS[self.question](client, self.window, SCOPES[self.scope])
        return 1000 * (clock.monotonic() - began)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it was sent."""

    text: str
    parameters: Mapping[str, object]


@dataclass(slots=True)
class Listening:
    """Stands for a client, and remembers what it is asked."""

    client: "AsyncClient"
    asked: list[Statement] = field(default_factory=list)

    @property
    def server_settings(self) -> Mapping[str, Any]:
        """The client's."""
        return self.client.server_settings

    async def query_arrow(
        self, text: str, *, parameters: Mapping[str, object], settings: Mapping[str, str]
    ) -> "pa.Table":
        """As the client's."""
        self.asked.append(Statement(text, parameters))
        return await self.client.query_arrow(text, parameters=dict(parameters), settings=dict(settings))


@dataclass(frozen=True, slots=True)
class Asked:
    """A case's times in ms, sorted; the store's CPU time; what it read."""

    case: Case
    times_ms: list[float]
    cpu_ms: float
    rows: int
    bytes: int
    statements: list[Statement]

    @property
    def p50_ms(self) -> float:
        """The median."""
        return self.times_ms[len(self.times_ms) // 2]


def main() -> None:
    """Make the attempts, roll them up, ask, and print."""
    parser = argparse.ArgumentParser(prog="python -m deploy.bench.queries", description="Time what dashboards ask.")
    parser.add_argument("--attempts", type=int, default=100_000_000, help="how many, over 13 months")
    parser.add_argument("--data", type=Path, help="where the store lies, and stays; a temporary folder if not given")
    chosen = parser.parse_args()
    if chosen.data:
        bench(chosen.data, chosen.attempts)
    else:
        with tempfile.TemporaryDirectory(prefix="tollway-bench-") as folder:
            bench(Path(folder), chosen.attempts)


def bench(folder: Path, count: int) -> None:
    """Have `count` attempts in the store in `folder`, ask everything and print what it cost."""
    with attempts.store(folder) as store:
        made = attempts.make(store.writer, count, now=clock.utc_now())
        if made.days:
            _roll_up(store, made.until)
        report(store.writer, [ask(store, case, ROUNDS) for case in cases(made.until)], Console(width=140))


def cases(now: datetime) -> list[Case]:
    """Every question of every window, and of the longest one for one tenant and one alias too."""
    return [
        Case(question, name, window, scope)
        for question in QUESTIONS
        for name, window in _windows(now).items()
        for scope in SCOPES
        if scope == "all" or (name == LONGEST and not question.startswith("choices"))
    ]


def _windows(now: datetime) -> dict[str, Window]:
    today = day_of(now)
    return {
        LONGEST: Window(today - timedelta(days=DAYS - 1), now),
        "90 days": Window(today - timedelta(days=90), now),
        "this month": Window(today.replace(day=1), now),
        "24 hours": Window(now - timedelta(hours=24), now),
    }


def _roll_up(store: Asking, now: datetime) -> None:
    for look in ("rolled up", "a look at every day", "a look since yesterday"):
        began, burnt = clock.monotonic(), cpu_s(store.pid)
        done = rollups.catch_up(store.writer, now=now, whole=look != "a look since yesterday")
        cost = f"{clock.monotonic() - began:.2f} s, {cpu_s(store.pid) - burnt:.2f} s of CPU"
        sys.stderr.write(f"{look}: {cost}; {done or 'nothing was stale'}\n")


def ask(store: Asking, case: Case, rounds: int) -> Asked:
    """Warm it up, and ask it so many times."""
    times, cpu_ms, statements = asyncio.run(_rounds(store, case, rounds))
    read = [store.reader.query(one.text, parameters=dict(one.parameters)).summary for one in statements]
    rows, volume = (sum(int(one[name]) for one in read) for name in ("read_rows", "read_bytes"))
    return Asked(case, sorted(times), cpu_ms, rows, volume, statements)


async def _rounds(store: Asking, case: Case, rounds: int) -> tuple[list[float], float, list[Statement]]:
    client = await store.connect()
    try:
        listening = Listening(client)
        await case.put(cast("AsyncClient", listening))
        burnt = cpu_s(store.pid)
        times = [await case.put(client) for _ in range(rounds)]
        return times, 1000 * (cpu_s(store.pid) - burnt) / rounds, listening.asked
    finally:
        await client.close()


def report(client: "Client", asked: list[Asked], console: Console) -> None:
    """A table of all, the sizes of the tables, and how the engine reads for the slowest."""
    table = Table("question", "window", "scope", "p50 ms", "max ms", "CPU ms", "statements", "rows", "MB")
    for one in asked:
        figures = (f"{one.p50_ms:.0f}", f"{one.times_ms[-1]:.0f}", f"{one.cpu_ms:.0f}", f"{len(one.statements)}")
        table.add_row(
            one.case.question, one.case.name, one.case.scope, *figures, f"{one.rows:,}", f"{one.bytes / 1e6:.1f}"
        )
    console.print(table)
    console.print(sql.fetch(client, "bench_sizes"))
    slowest = max(asked, key=lambda one: one.p50_ms)
    console.print(f"slowest: {slowest.case.question}, {slowest.case.name}, {slowest.case.scope}; its statements:")
    for statement in slowest.statements:
        given = ", ".join(f"{name} {value}" for name, value in statement.parameters.items() if value != [])
        console.print(f"  {statement.text.splitlines()[0]} {given}", highlight=False)
        for line in _plan(client, statement):
            console.print(f"    {line}", highlight=False)


def _plan(client: "Client", statement: Statement) -> list[str]:
    """Which tables the engine reads, and how many of their parts and granules each index leaves."""
    explain = f"EXPLAIN indexes = 1, description = 0 {statement.text}"
    rows = client.query(explain, parameters=dict(statement.parameters)).result_rows
    return [
        line
        for (line,) in rows
        if re.search(r"\b(ReadFrom|Join|Aggregating|Indexes|Keys|Parts|Granules)|Condition", line)
    ]


if __name__ == "__main__":
    main()
