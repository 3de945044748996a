"""What the close asks of the installation: spans on their way or set aside, and whether the books agree.

The collector's ledger is read where it lies, so this is for the machine on which the collector runs; elsewhere the
answer is that it could not be asked, which blocks a signature as a fault does.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

import sql
from analytics import audit, rollups
from analytics.periods.blockers import Inspection
from analytics.rollups.sources import day_of
from analytics.windows import Window
from collector.audit import Entries, differences, read_ledger
from deploy.settings import Settings

ON_ITS_WAY = timedelta(minutes=1)
"""How long a batch may take to land before a month waits for it; later than that, something is in the way."""


def inspector(settings: Settings) -> Callable[[Client, Window, datetime], Inspection]:
    """The question, to be asked of any window."""

    def inspect(client: Client, window: Window, now: datetime) -> Inspection:
        folder = settings.data_dir / "collector"
        ledger = read_ledger(folder / "ledger")
        faults = (*_twice(client, window, now), *_rollups(client, window, now))
        if ledger is None:
            why = f"no ledger of a collector is in {folder}: sign where the collector runs"
            return Inspection(faults=faults, unknown=(why,))
        pending, parked = _under_way(ledger, window, now)
        return Inspection(pending=pending, parked=parked, faults=(*faults, *_ledger(client, settings, ledger, now)))

    return inspect


def _under_way(ledger: Entries, window: Window, now: datetime) -> tuple[int, int]:
    """Spans that may be of the window: what came before it began cannot be."""
    since, until = (at.timestamp() * 1000 for at in (window.since, min(window.until, now - ON_ITS_WAY)))
    late = (now - ON_ITS_WAY).timestamp() * 1000
    waiting = [one.batch for one in ledger.state.open.values() if one.batch.received_ms < max(until, late)]
    aside = [ended for ended in ledger.ended.values() if ended.batch.received_ms >= since]
    return sum(batch.rows for batch in waiting), sum(ended.parked for ended in aside)


def _ledger(client: Client, settings: Settings, ledger: Entries, now: datetime) -> tuple[str, ...]:
    since = datetime.fromtimestamp((ledger.since_ms or 0) / 1000, now.tzinfo) if ledger.since_ms else now
    stored = dict(sql.fetch(client, "audit_batches", since=since, batches=[]).iter_rows())
    again = read_ledger(settings.data_dir / "collector" / "ledger") or ledger  # Behind the store: it knows what landed.
    unseen = sorted(name for name, one in again.ended.items() if one.stored != stored.get(name, 0))
    if unseen:
        stored |= dict(sql.fetch(client, "audit_batches", since=now + timedelta(days=1), batches=unseen).iter_rows())
    found = differences(again, stored, settings.data_dir / "collector" / "parked")
    return tuple(f"{one.where}: {one.wanted} by the ledger, {one.found} found; {one.words}" for one in found)


def _twice(client: Client, window: Window, now: datetime) -> tuple[str, ...]:
    extra = audit.duplicate_count(client, Window(window.since, min(window.until, now)))
    return (f"{extra} rows of spans are in the store twice",) if extra else ()


def _rollups(client: Client, window: Window, now: datetime) -> tuple[str, ...]:
    whole = Window(day_of(window.since), min(window.until, now))
    found = audit.rollup_differences(client, whole, rollups.reach(client))
    return tuple(
        f"rollup {row['rollup']} of {row['at']:%Y-%m-%dT%H:%MZ} {row['tenant']} is not what the facts say"
        for row in found.head(5).iter_rows(named=True)
    )
