"""A store with 13 months of attempts for the bench of queries: made by the engine, day by day, and kept if so wished.

A folder that already holds some of the days gets only those that are missing, so a run that was cut goes on, and a
bench may ask the same attempts many times. What a day holds depends on its date and the number of rows alone.
"""

import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from functools import partial
from pathlib import Path

from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

import sql
from analytics import rate_cards
from deploy.bench.processes import free_port
from gateway.domain import clock
from gateway.domain.rate_card import RateCard
from gateway.domain.usage import TokenClass
from sql import clients, credentials

DAYS = 395
ENDS = time_of_day(14, 40, tzinfo=UTC)
"""When on their last day the attempts end, and questions are asked: within an hour, and within a day."""
READY_WITHIN_S = 60.0
MAKERS = 2
"""Days made at the same time."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A store that runs."""

    pid: int
    writer: Client
    reader: Client
    connect: Callable[[], Awaitable[AsyncClient]]
    """A reader as the pages have it."""


@contextmanager
def store(folder: Path) -> Iterator[Asking]:
    """The store in that folder, for as long as the block lasts."""
    url = f"http://127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "sql.embedded", "--data-dir", str(folder), "--listen", url.removeprefix("http://")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        writer = _writer(url, folder)
        password = credentials.read(folder, credentials.READER)
        connect = partial(clients.async_reader, url, password)
        yield Asking(process.pid, writer, clients.reader(url, password), connect)
    finally:
        process.terminate()
        process.wait(60)


@dataclass(frozen=True, slots=True)
class Made:
    """What lies in the store."""

    until: datetime
    """When the newest attempts were made; what a bench takes for now."""
    days: int
    """How many days had to be made."""


def make(client: Client, attempts: int, *, now: datetime, days: int = DAYS) -> Made:
    """Have `attempts` attempts in the store, evenly over so many days, the last of which is the one before `now`.

    A store that has some of them keeps its last day.
    """
    sql.migrate(client, now=now)
    there = set(sql.fetch(client, "bench_days")["day"])
    last = max(there, default=(now - timedelta(days=1)).date())
    until = datetime.combine(last, ENDS)
    missing = [day for number in range(days) if (day := last - timedelta(days=number)) not in there]
    rate_cards.load(client, _cards(), now=now)
    began = clock.monotonic()

    def one(day: date) -> None:
        sql.execute(client, "bench_attempts", day=day, rows=attempts // days, until=until)

    with ThreadPoolExecutor(MAKERS) as makers:
        for number, _ in enumerate(makers.map(one, missing), 1):
            if number % 30 == 0:
                sys.stderr.write(f"{number} of {len(missing)} days made after {clock.monotonic() - began:.0f} s\n")
    return Made(until, len(missing))


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


def _cards() -> list[RateCard]:
    return [
        RateCard(
            provider=f"vendor-{vendor}",
            model=f"model-{model}",
            currency="USD",
            effective_from=datetime(2020, 1, 1, tzinfo=UTC),
            per_million={
                TokenClass.INPUT_UNCACHED: Decimal("0.15") * (model + 1),
                TokenClass.CACHE_READ: Decimal("0.075") * (model + 1),
                TokenClass.OUTPUT: Decimal("0.60") * (model + 1),
            },
        )
        for vendor in range(4)
        for model in range(10)
    ]
