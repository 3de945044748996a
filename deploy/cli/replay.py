"""`tollway replay-spool`: land kept segments again, after the mapping into the store was mended."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.cli import exits
from deploy.cli.moments import moment
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows, say
from deploy.errors import OperatorError
from deploy.settings import Settings, read
from gateway.domain import clock

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from collector.cluster import ClusterStore
    from collector.replay import Shelf, Told
    from collector.replay_plan import Choice, Swap
    from collector.store import ClickHouseStore

From = Annotated[
    str | None, typer.Option("--from", help="Received at or after: an age (3h, 2d), or a date or time in UTC.")
]
To = Annotated[str | None, typer.Option("--to", help="Received before that.")]
Batches = Annotated[
    list[str] | None, typer.Option("--batch", help="Only this batch (its batch_id); may be given several times.")
]
Parked = Annotated[
    bool, typer.Option("--parked", help="Land what is parked instead: spans that the store refused once.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List what would be landed again; change nothing.")]
COLUMNS = ("batch", "in the store as", "sender", "tenant", "received", "spans", "what")


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("replay-spool")(replay_spool)


def replay_spool(
    since: From = None,
    until: To = None,
    batch: Batches = None,
    parked: Parked = False,
    dry_run: DryRun = False,
    config: Config = DEFAULT_CONFIG,
    as_json: Json = False,
) -> None:
    """Land what is kept of the spool again, after a mistake in the mapping was mended: all of it, or what is chosen.

    New rows take the place of the old ones, and only once they were counted. It runs on the collector's machine, also
    while the collector runs. A run that was stopped is finished by the next one; what today's mapping made is left.
    Exit 1 where old rows had to stay.
    """
    from collector.replay import Replay, ReplayStopped, alone, shelf

    settings = read(config)
    folder = settings.data_dir / "collector"
    if parked:
        _parked(settings, frozenset(batch or ()), dry_run=dry_run, as_json=as_json)
        return
    found = shelf(folder / "spool")
    choice = _choice(found, since, until, batch)
    with alone(folder / "replays"):
        store, mapping = _store(settings)
        replay = Replay(
            folder / "replays",
            folder / "spool",
            store,
            mapping=mapping,
            now_ms=clock.unix_nanos() // 1_000_000,
            pause=threading.Event().wait,
        )
        try:
            told = [] if dry_run else replay.finish()
            swaps, already = replay.plan(found.batches, choice)
            told += [] if dry_run else replay.run(swaps, found.batches)
        except ReplayStopped as stopped:
            raise OperatorError(str(stopped)) from None
        finally:
            replay.close()
            store.close()
    rows = [_row(one, "would be landed again", "") for one in swaps] if dry_run else [_told(one) for one in told]
    _show(rows, found, already=already, dry_run=dry_run, as_json=as_json)
    if not rows:
        _nothing(settings, found, already)
    if any(one.why for one in told):
        raise typer.Exit(exits.FAILURE)


def _parked(settings: Settings, names: frozenset[str], *, dry_run: bool, as_json: bool) -> None:
    """Send what is parked to the collector again."""
    from deploy.sending_again import parked, send_again

    found = [one for one in parked(settings.data_dir / "collector" / "parked") if not names or one.batch_id in names]
    if missing := sorted(names - {one.batch_id for one in found}):
        raise OperatorError(f"no batch {missing[0]} is parked; `tollway replay-spool --parked --dry-run` lists them")
    told = [(one, one.reason) for one in found] if dry_run else list(send_again(settings, found))
    rows = [(one.batch_id, one.sender, one.tenant or "", one.spans, why or "sent again") for one, why in told]
    if as_json:
        names_of = ("batch", "sender", "tenant", "spans", "why")
        emit_json({"dry_run": dry_run, "batches": [dict(zip(names_of, row, strict=True)) for row in rows]})
    elif rows:
        emit_rows(("batch", "sender", "tenant", "spans", "why it is parked" if dry_run else "what"), rows)
    if not rows:
        say("tollway: nothing is parked")
    if not dry_run and any(why for _, why in told):
        raise typer.Exit(exits.FAILURE)


def _choice(found: "Shelf", since: str | None, until: str | None, batch: Sequence[str] | None) -> "Choice":
    from collector.replay_plan import Choice, origin

    now = clock.utc_now()
    origins = frozenset(origin(one) for one in batch or ())
    known = {one.batch.batch_id for one in found.batches}
    if missing := sorted(origins - known):
        raise OperatorError(
            f"no kept segment has the batch {missing[0]}: {len(known)} batches are kept{_span(found)}; "
            "`tollway replay-spool --dry-run` lists them"
        )
    return Choice(
        since_ms=_ms(moment(since, now)) if since else None,
        until_ms=_ms(moment(until, now)) if until else None,
        origins=origins,
    )


def _store(settings: Settings) -> "tuple[ClickHouseStore | ClusterStore, str]":
    """The store as the collector has it, and what names its mapping. Raises OperatorError."""
    from collector.cluster import store_of
    from deploy.serving import cluster
    from deploy.store_access import writer, writer_password
    from sql import clients
    from sql.migrations import fingerprint, pending

    client = writer(settings)
    try:
        behind = pending(client)
    finally:
        client.close()
    if behind:
        raise OperatorError(
            f"the store lacks {behind[0]} of this version, so rows would be made as before: "
            "start the store with this version first, or run `tollway up`"
        )
    user, ca = settings.file.store.user, settings.store_ca

    def connect(url: str) -> "Client":
        return clients.writer(url, writer_password(settings), user=user, ca=ca)

    return store_of(connect, settings.store_url, cluster(settings)), fingerprint()


def _row(swap: "Swap", what: str, why: str) -> dict[str, object]:
    batch = swap.batch
    replaced = what == "landed again"
    return {
        "batch": swap.origin,
        "in_the_store_as": batch.batch_id if replaced else swap.old,
        "sender": batch.sender,
        "tenant": batch.tenant or "",
        "received_at": datetime.fromtimestamp(batch.received_ms / 1000, UTC),
        "spans": batch.rows,
        "what": what,
        "why": why,
    }


def _told(one: "Told") -> dict[str, object]:
    return _row(one.swap, "left as it was" if one.why else "landed again", one.why)


def _show(rows: list[dict[str, object]], found: "Shelf", *, already: int, dry_run: bool, as_json: bool) -> None:
    for name, why in found.unreadable.items():
        say(f"tollway: the kept segment {name} cannot be landed again: {why}")
    left = [row for row in rows if row["why"]]
    if as_json:
        emit_json(
            {
                "dry_run": dry_run,
                "batches": rows,
                "spans": sum(int(str(row["spans"])) for row in rows if not row["why"]),
                "left": len(left),
                "already": already,
                "unreadable": found.unreadable,
            }
        )
    elif rows:
        emit_rows(COLUMNS, [[*list(row.values())[:6], _words(row)] for row in rows])
    if rows and not dry_run:
        again = len(rows) - len(left)
        say(f"tollway: {again} batches are landed again; {len(left)} were left as they were")


def _words(row: dict[str, object]) -> str:
    return f"{row['what']}: {row['why']}" if row["why"] else str(row["what"])


def _nothing(settings: Settings, found: "Shelf", already: int) -> None:
    if already:
        say(f"tollway: {already} batches are as today's mapping makes them; nothing else was chosen")
    elif found.batches:
        say(f"tollway: nothing that was chosen is kept; {len(found.batches)} batches are{_span(found)}")
    else:
        hours = settings.file.collector.spool_keep_hours
        say(f"tollway: nothing that landed is kept (collector.spool_keep_hours is {hours:g})")


def _span(found: "Shelf") -> str:
    if not found.batches:
        return ""
    times = [datetime.fromtimestamp(one.batch.received_ms / 1000, UTC) for one in found.batches]
    return f", received from {min(times):%Y-%m-%dT%H:%M:%SZ} to {max(times):%Y-%m-%dT%H:%M:%SZ}"


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
