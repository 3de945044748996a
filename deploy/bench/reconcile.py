"""`python -m deploy.bench.reconcile [--attempts N] [--lines N] [--data DIR]`: a month held against its invoices.

The attempts of November are made by the engine and rolled up by the worker's own code; the invoices bill what the
rollup counts, each line split over as many api keys as it takes, with every 97th cell short of a row and every 101st
dearer than any card. Then the month is reconciled by a process of its own, as the worker does it. Prints how long it
took, by the clock and in CPU, and what both processes held of the memory. 100 million attempts take some 9 GB of disk.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import cast

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httpclient import HttpClient
from rich.console import Console
from rich.table import Table

import sql
from analytics import rate_cards, rollups
from analytics.reconciliation import reconcile_month
from deploy.bench import attempts
from deploy.bench.processes import cpu_s, rss_bytes
from gateway.domain import clock
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import TokenClass
from sql import clients, credentials

NOW = datetime(2026, 12, 1, 15, tzinfo=UTC)
SINCE, UNTIL, MONTH = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC), "2026-11"
DAYS = 30
ROUNDS = 3
BLOCK = 20_000
SHORT_EVERY, DEAR_EVERY = 97, 101
_LINES = ("load_id", "row", "day", "model", "token_class", "quantity", "amount", "scale", "currency", "api_key_id")
_IMPORTS = ("import_id", "load_id", "provider", "account", "currency", "scale", "lines", "total", "days", "imported_at")


@dataclass(frozen=True, slots=True)
class Round:
    """One reconciliation of the month."""

    wall_s: float
    cpu_s: float
    """Of the process that asks."""
    peak_bytes: int
    """Of that process, until then."""
    lines: int
    """Lines of the result."""
    ambiguous: int
    unexplained: Decimal


def main() -> None:
    """Make, bill, reconcile, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.bench.reconcile", description="Time a month's reconciliation."
    )
    parser.add_argument("--attempts", type=int, default=100_000_000, help="how many, over the month")
    parser.add_argument("--lines", type=int, default=100_000, help="about how many rows the invoices have")
    parser.add_argument("--data", type=Path, help="a folder to keep the store in; a temporary one if not given")
    chosen = parser.parse_args()
    if chosen.data:
        chosen.data.mkdir(parents=True, exist_ok=True)
        bench(chosen.data, chosen.attempts, chosen.lines)
        return
    with tempfile.TemporaryDirectory(prefix="tollway-bench-") as folder:
        bench(Path(folder), chosen.attempts, chosen.lines)


def bench(folder: Path, count: int, lines: int) -> None:
    """The whole of it, with the store in that folder."""
    with attempts.store(folder) as store:
        attempts.make(store.writer, count, now=NOW, days=DAYS)
        began = clock.monotonic()
        done = rollups.catch_up(store.writer, now=NOW, whole=True)
        sys.stderr.write(f"rolled up in {clock.monotonic() - began:.0f} s: {done}\n")
        billed = _bill(store.writer, lines)
        url, password = cast("HttpClient", store.reader).url, credentials.read(folder, credentials.READER)
        before = cpu_s(store.pid)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as worker:
            rounds = [worker.submit(_reconcile, url, password).result() for _ in range(ROUNDS)]
        _print(rounds, billed, (cpu_s(store.pid) - before) / ROUNDS, rss_bytes(store.pid))


def _reconcile(url: str, password: str) -> Round:
    """In a process of its own: what it takes there is the reconciliation's."""
    client = clients.reader(url, password)
    began, spent = clock.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    month = reconcile_month(client, MONTH, now=NOW)
    wall, after = clock.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    return Round(
        wall_s=wall,
        cpu_s=after.ru_utime + after.ru_stime - spent.ru_utime - spent.ru_stime,
        peak_bytes=after.ru_maxrss * 1024,
        lines=len(month.lines),
        ambiguous=sum(bool(line.ambiguous) for line in month.lines),
        unexplained=month.unexplained_gross,
    )


def _bill(client: Client, wanted: int) -> int:
    """Import invoices of about so many rows for what the rollup counts; returns how many they have."""
    totals = sql.fetch(client, "recon_totals", since=SINCE, until=UNTIL)
    book = rate_cards.book_of(sql.fetch(client, "rate_card_current"))
    cells = [row for row in totals.iter_rows(named=True) if row["card_id"]]
    keys = max(1, wanted // max(1, sum(1 for row in cells for name in TokenClass if row[name.value])))
    rows = 0
    for provider, account in sorted({(row["provider"], row["account"]) for row in cells}):
        mine = [row for row in cells if (row["provider"], row["account"]) == (provider, account)]
        load, found = f"bench-{account}", _rows(f"bench-{account}", mine, book, keys)
        number = 0
        while block := list(islice(found, BLOCK)):
            client.insert("tollway.invoice_lines", block, column_names=_LINES)
            number += len(block)
        days = [date(2026, 11, 1) + timedelta(days=n) for n in range(DAYS)]
        about = [load, load, provider, account, "USD", 6, number, "0", days, clock.utc_now()]
        client.insert("tollway.invoice_imports", [about], column_names=_IMPORTS)
        rows += number
    return rows


def _rows(load: str, cells: list[dict[str, object]], book: RateBook, keys: int) -> Iterator[list[object]]:
    """The rows of one account's invoice, in the order of _LINES."""
    cards = {card.card_id: card for card in book.cards}
    number = 0
    for place, cell in enumerate(cells, 1):
        for name in TokenClass:
            tokens, unit = int(str(cell[name.value])), cards[str(cell["card_id"])].unit_price(name)
            if not tokens or unit is None:
                continue
            pieces = [tokens // keys + (n < tokens % keys) for n in range(keys - (place % SHORT_EVERY == 0))]
            for key, piece in enumerate(pieces):
                number += 1
                dearer = Decimal("0.000100") if place % DEAR_EVERY == 0 else Decimal(0)
                amount = (unit * piece).quantize(Decimal("0.000001")) + dearer
                told = [load, number, cell["day"], cell["model"], name.value, piece, f"{amount:f}", 6, "USD"]
                yield [*told, f"key-{key}"]


def _print(rounds: list[Round], billed: int, store_cpu_s: float, store_bytes: int) -> None:
    table = Table("round", "wall s", "CPU s", "peak MB", "lines", "ambiguous", "unexplained USD")
    for number, each in enumerate(rounds, 1):
        table.add_row(
            str(number), f"{each.wall_s:.2f}", f"{each.cpu_s:.2f}", f"{each.peak_bytes / 1e6:.0f}", f"{each.lines}",
            f"{each.ambiguous}", f"{each.unexplained:f}",
        )  # fmt: skip
    console = Console(width=120)
    console.print(table)
    store = f"the store took {store_cpu_s:.2f} s of CPU a round, and holds {store_bytes / 1e6:.0f} MB"
    console.print(f"{billed} rows billed; {store}")


if __name__ == "__main__":
    main()
