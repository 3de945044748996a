"""`tollway audit`: proves that facts, rollups and ledger tell of the same spans; exit 3 if not."""

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from clickhouse_connect.driver.client import Client

from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.settings import Settings, read
from gateway.domain import clock

if TYPE_CHECKING:
    from analytics.audit import Check

Days = Annotated[int, typer.Option("--days", min=1, help="How many days back facts are compared.")]
UNTOLD = timedelta(minutes=1)
"""A collector tells the store of its ledger within seconds: what is younger is not compared with that."""


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("audit", help="Prove that facts, rollups and ledger agree. Exit 3, with what differs, if they do not.")(
        audit
    )


def audit(days: Days = 31, config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """Compare, and name each difference by hour and tenant, batch or sender.

    The ledger is the one that collectors told the store of, so any machine will do; on the collector's own the files of
    its ledger are compared with the store as well.
    """
    from analytics.audit import checks
    from analytics.rollups.sources import day_of
    from analytics.windows import Window
    from deploy.store_access import reader

    settings = read(config)
    client = reader(settings)
    now = clock.utc_now()
    kept = settings.file.store.retention
    days = min(days, *(most - 1 for most in (kept.attempts_days, kept.ledger_days) if most))
    since = day_of(now - timedelta(days=days))
    found = _with_files(checks(client, Window(since, now - UNTOLD)), client, settings, now)
    faults = [fault for check in found for fault in check.faults]
    if as_json:
        shown = [{"equality": c.equality, "compared": c.compared, "holds": c.holds} for c in found]
        told = [{name: value for name, value in asdict(fault).items() if name != "hour"} for fault in faults]
        emit_json({"proven": all(c.holds for c in found), "checks": shown, "faults": told})
    else:
        emit_rows(("equality", "compared", "holds"), [(c.equality, c.compared, c.holds) for c in found])
        for fault in faults:
            say(f"tollway: {fault.equality}: {fault.where}: {fault.wanted} wanted, {fault.found} found; {fault.words}")
    if any(check.compared is None for check in found):
        say("tollway: no collector has told this store of its ledger: its equalities are not proven")
    for check in found:
        if check.compared == 0:
            say(f"tollway: {check.equality}: there was nothing to compare yet")
    if not all(check.holds for check in found):
        raise typer.Exit(exits.CHECK_FAILED)


def _with_files(told: "tuple[Check, ...]", client: Client, settings: Settings, now: datetime) -> "tuple[Check, ...]":
    """The checks of the store, with what the files of a ledger on this machine add to them, where there are any."""
    here = {check.equality: check for check in _of_files(client, settings, now)}
    return tuple(_joined(check, here[check.equality]) if check.equality in here else check for check in told)


def _joined(one: "Check", other: "Check") -> "Check":
    """Compared in the store or on the disk; a difference that both name is told once."""
    places = {fault.where.partition(" ")[0] for fault in one.faults}
    faults = (*one.faults, *(fault for fault in other.faults if fault.where not in places))
    return replace(one, compared=max(one.compared or 0, other.compared or 0), faults=faults)


def _of_files(client: Client, settings: Settings, now: datetime) -> "tuple[Check, ...]":
    """The ledger is read behind the store, and the store again for what landed in between."""
    from analytics.audit import BATCHES, BOOKS, Check, Fault
    from collector.audit import differences, read_ledger
    from sql import fetch

    folder = settings.data_dir / "collector"
    first = read_ledger(folder / "ledger")
    if first is None:
        return ()
    since = datetime.fromtimestamp(first.since_ms / 1000, UTC) if first.since_ms else now
    stored = dict(fetch(client, "audit_stored", since=since, batches=[]).iter_rows())
    ledger = read_ledger(folder / "ledger") or first
    unseen = sorted(name for name, one in ledger.ended.items() if one.stored != stored.get(name, 0))
    if unseen:
        stored |= dict(fetch(client, "audit_stored", since=now + timedelta(days=1), batches=unseen).iter_rows())
    found = [
        Fault(
            BOOKS if one.what in ("books", "parked") else BATCHES, one.where, str(one.wanted), str(one.found), one.words
        )
        for one in differences(ledger, stored, folder / "parked")
    ]
    return (
        Check(BOOKS, len(ledger.accounts), tuple(fault for fault in found if fault.equality == BOOKS)),
        Check(BATCHES, len(ledger.ended), tuple(fault for fault in found if fault.equality == BATCHES)),
    )
