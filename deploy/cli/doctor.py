"""`tollway doctor`: what is running, what is not, and what to do about it. It changes nothing.

Only that the store deduplicates is shown by doing: three rows of a table that is for this, kept for a day.
"""

import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import typer

from deploy.cli import exits
from deploy.cli.options import DEFAULT_CONFIG, Config, Json
from deploy.cli.output import emit_json, emit_rows
from deploy.offers import lacking
from deploy.settings import Settings, read
from deploy.supervisor import parts
from deploy.supervisor.supervisor import is_ready, port_problem
from gateway.domain import clock

FREE_BYTES_MIN = 1_073_741_824
"""Below this the journal, the spool and the store compete for the last of the disk."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `ok`, `warn` or `fail`, and in words what was found and the way out."""

    what: str
    state: str
    words: str


def register(app: typer.Typer) -> None:
    """Add the subcommand."""
    app.command("doctor", help="Look at this installation: parts, ports, disk, secrets, prices. Exit 3 if one fails.")(
        doctor
    )


def doctor(config: Config = DEFAULT_CONFIG, as_json: Json = False) -> None:
    """List findings; exit 3 if one of them is a failure."""
    settings = read(config)
    findings = [*_parts(settings), _disk(settings), *_secrets(settings), *_store(settings), *_replays(settings)]
    findings += [*_prices(settings), _remote_mac(settings)]
    if as_json:
        emit_json([{"what": f.what, "state": f.state, "words": f.words} for f in findings])
    else:
        emit_rows(("what", "state", "found"), [(f.what, f.state, f.words) for f in findings])
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(exits.CHECK_FAILED)


def _parts(settings: Settings) -> list[Finding]:
    found = []
    for part in parts(settings):
        if is_ready(part.ready_url, part.tls):
            found.append(Finding(part.name, "ok", f"ready at {part.listen}"))
            found += [_also(part.name, listen) for listen in part.also_listens]
        elif port_problem(part.listen) is not None:
            words = f"something listens at {part.listen} and is not ready: {part.name} starting, or another program"
            found.append(Finding(part.name, "fail", words))
        else:
            log = settings.data_dir / "logs" / f"{part.name}.log"
            found.append(Finding(part.name, "fail", f"not running; `tollway up --config {settings.path}` (log: {log})"))
    return found


def _also(name: str, listen: str) -> Finding:
    if port_problem(listen) is None:
        return Finding(f"{name} grpc", "fail", f"nothing listens at {listen}; restart the {name}")
    return Finding(f"{name} grpc", "ok", f"OTLP/gRPC is taken at {listen}")


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir if settings.data_dir.exists() else settings.data_dir.parent
    free = shutil.disk_usage(folder).free
    state = "ok" if free >= FREE_BYTES_MIN else "fail"
    return Finding("disk", state, f"{free / 2**30:.1f} GiB free for {settings.data_dir}")


def _secrets(settings: Settings) -> list[Finding]:
    folder = settings.data_dir / "secrets"
    if not folder.exists():
        return [Finding("secrets", "warn", "none yet; the first `tollway up` makes them")]
    open_ones = [path for path in (folder, *folder.iterdir()) if _readable_by_others(path)]
    if open_ones:
        names = ", ".join(str(path) for path in open_ones)
        return [Finding("secrets", "fail", f"readable by others: {names}; chmod go-rwx")]
    return [Finding("secrets", "ok", f"{folder} is its owner's alone")]


def _readable_by_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def _store(settings: Settings) -> list[Finding]:
    if settings.embedded and not is_ready(f"{settings.store_url}/readyz"):
        return []
    from deploy.schema import examined
    from deploy.store_access import reader
    from sql import fetch

    try:
        client = reader(settings)
        landed, last = fetch(client, "deploy_landed").row(0)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return [Finding("schema", "fail", f"cannot be read: {str(error).splitlines()[0][:200]}")]
    words = f"{landed} spans, the last at {last:%Y-%m-%dT%H:%M:%SZ}" if landed else "no spans yet"
    return [Finding("schema", "ok", words), *(_deduplication(url, reason) for url, reason in examined(settings))]


def _deduplication(url: str, refused: str) -> Finding:
    if refused:
        return Finding("deduplication", "fail", refused if url in refused else f"{url}: {refused}")
    return Finding("deduplication", "ok", f"{url} stores once what is sent twice: shown just now")


def _replays(settings: Settings) -> list[Finding]:
    from collector.replay import unfinished

    begun = unfinished(settings.data_dir / "collector" / "replays")
    words = f"{begun} batches were begun and not finished, and none is seen twice; `tollway replay-spool` finishes them"
    return [Finding("replay", "fail", words)] if begun else []


def _prices(settings: Settings) -> list[Finding]:
    routing = settings.routing()
    lacks = lacking(routing, clock.utc_now())
    if lacks:
        return [Finding("prices", "warn", str(fault)) for fault in lacks]
    return [Finding("prices", "ok", f"{len(routing.rate_cards.cards)} rate cards; every target has one in force")]


def _remote_mac(settings: Settings) -> Finding:
    mac = settings.file.remote_mac
    if not mac.soak_hours and not mac.notarized_checklist_id:
        return Finding("remote macs", "ok", "none configured")
    checklist = mac.notarized_checklist_id or "none recorded"
    return Finding("remote macs", "ok", f"soak {mac.soak_hours:g} h, notarized checklist: {checklist}")
