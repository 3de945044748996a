"""`tollway audit`: proves that facts, rollups and the collector's ledger tell of the same spans; exit 3 if not."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from clickhouse_connect.driver.client import Client

from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import Settings, read
from gateway.domain import clock

Days = Annotated[int, typer.Option("--days", min=1, help="How many days back facts are compared with rollups.")]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that does not add up: which equality, where, what it should be and what was found."""

    equality: str
    where: str
    wanted: str
    found: str
    words: str


@dataclass(frozen=True, slots=True)
class Check:
    """One equality, of how many batches or hours it was asked, and what breaks it. None = it could not be asked."""

    equality: str
    compared: int | None
    faults: tuple[Fault, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether it is proven."""
        return self.compared is not None and not self.faults


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("audit", help="Prove that facts, rollups and ledger agree. Exit 3, with what differs, if they do not.")(
        audit
    )


def audit(days: Days = 31, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Compare, and name each difference by hour and tenant, batch or sender."""
    from deploy.store_access import reader

    settings = read(config)
    client = reader(settings)
    now = clock.utc_now()
    checks = (*_of_ledger(client, settings, now), *_of_rollups(client, now, days), _of_keys(client, now, days))
    faults = [fault for check in checks for fault in check.faults]
    if as_json:
        shown = [{"equality": c.equality, "compared": c.compared, "holds": c.holds} for c in checks]
        emit_json({"proven": all(c.holds for c in checks), "checks": shown, "faults": [asdict(f) for f in faults]})
    else:
        emit_rows(("equality", "compared", "holds"), [(c.equality, c.compared, c.holds) for c in checks])
        for fault in faults:
            say(f"tollway: {fault.equality}: {fault.where}: {fault.wanted} wanted, {fault.found} found; {fault.words}")
    if not all(check.holds for check in checks):
        raise typer.Exit(exits.CHECK_FAILED)


def _of_ledger(client: Client, settings: Settings, now: datetime) -> tuple[Check, ...]:
    """The ledger is read behind the store, and the store again for what landed in between."""
    from collector.audit import differences, read_ledger
    from sql import fetch

    books, batches = "received = stored + duplicate + parked + pending", "facts = ledger"
    folder = settings.data_dir / "collector"
    first = read_ledger(folder / "ledger")
    if first is None:
        say(f"tollway: no ledger is in {folder}: run this where the collector runs")
        return Check(books, None), Check(batches, None)
    since = datetime.fromtimestamp(first.since_ms / 1000, UTC) if first.since_ms else now
    stored = dict(fetch(client, "audit_batches", since=since, batches=[]).iter_rows())
    ledger = read_ledger(folder / "ledger") or first
    unseen = sorted(name for name, one in ledger.ended.items() if one.stored != stored.get(name, 0))
    if unseen:
        stored |= dict(fetch(client, "audit_batches", since=now + timedelta(days=1), batches=unseen).iter_rows())
    found = [
        Fault(
            books if one.what in ("books", "parked") else batches, one.where, str(one.wanted), str(one.found), one.words
        )
        for one in differences(ledger, stored, folder / "parked")
    ]
    return (
        Check(books, len(ledger.accounts), tuple(fault for fault in found if fault.equality == books)),
        Check(batches, len(ledger.ended), tuple(fault for fault in found if fault.equality == batches)),
    )


def _of_rollups(client: Client, now: datetime, days: int) -> tuple[Check, ...]:
    from analytics import audit, rollups
    from analytics.rollups.sources import day_of
    from analytics.windows import Window

    reach = rollups.reach(client)
    since = day_of(now - timedelta(days=days))
    until = max(filter(None, (reach.hours_until, reach.days_until)), default=since)
    found = audit.rollup_differences(client, Window(since, now), reach)
    facts = "facts = rollups"
    names = {"hours": facts, "days": facts, "totals": "days = totals", "months": "days = months"}
    faults = [
        Fault(
            names[row["rollup"]],
            f"{row['rollup']} {row['at']:%Y-%m-%dT%H:%MZ} {row['tenant']}".strip(),
            f"{row['attempts_wanted']} attempts, {row['cost_wanted_usd']:f} USD",
            f"{row['attempts_held']} attempts, {row['cost_held_usd']:f} USD",
            f"{', '.join(row['differing'])} differ; the worker rebuilds what is stale each minute",
        )
        for row in found.iter_rows(named=True)
    ]
    hours = max(0, int((until - since).total_seconds() // 3600))
    return tuple(
        Check(name, hours, tuple(fault for fault in faults if fault.equality == name))
        for name in dict.fromkeys(names.values())
    )


def _of_keys(client: Client, now: datetime, days: int) -> Check:
    from analytics import audit
    from analytics.windows import Window

    name = "one row a span"
    found = audit.duplicates(client, Window(now - timedelta(days=days), now))
    faults = [
        Fault(name, f"{row['hour']:%Y-%m-%dT%H:%MZ} {row['kind']}", "0", str(row["extra"]), "rows too many")
        for row in found.iter_rows(named=True)
        if row["kind"] in ("attempt_id", "span_key")
    ]
    return Check(name, days, tuple(faults))
