"""The disk at its worst: full to the last byte, torn and flipped bytes in what was kept already."""

import os
import shutil
import subprocess
import threading
from pathlib import Path

from deploy.chaos import spans
from deploy.chaos.ledger import SpanSent
from deploy.chaos.processes import Stuck, until
from deploy.chaos.scene import Result, Scene, Stage
from deploy.chaos.senders import Senders
from gateway.domain import clock

SMALL = "4m"
RESERVE = 1024 * 1024
AT_WORK_S = 0.5
FULL_S = 0.8
KEPT = 12
"""Bodies that wait in the spool when a bit flips."""
TORN = (b"\x10", bytes(9), b"\xff" * 64, b'\x40\x00\x00\x00\x01\x02\x03\x04\x01\x30\x00{"sender":')
"""What a kill or a power loss may leave behind the last record."""


def full(scene: Scene, moments: int) -> Result:
    """A small tmpfs that somebody else fills to the last byte, again and again; now and then the collector dies of it.

    Where none can be mounted, writes fail half done with ENOSPC instead while a file of that name is there.
    """
    folder = scene.folder / "small-disk"
    folder.mkdir()
    mounted = _mount(folder)
    filler = folder / "filler"
    try:
        with scene.stage("full disk", folder=folder, start=False, free_bytes_min=RESERVE if mounted else 0) as stage:
            if not mounted:
                stage.told(full_while=str(filler))
            stage.collector.start()
            senders = stage.senders()
            senders.start()
            for number in range(moments):
                _fill_and_free(stage, filler, dies=number % 3 == 2)
            senders.finish()
            how = "a tmpfs" if mounted else "by injection: nothing can be mounted here"
            stage.note = f"{how}; {senders.answers[503]} answers of 503"
            if not senders.answers[503]:
                raise Stuck("the disk was never felt to be full")
            return stage.result()
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=False, capture_output=True)


def torn(scene: Scene, moments: int) -> Result:
    """Half a record behind the last one: it was never acknowledged, and is cut."""
    with scene.stage("torn bytes") as stage:
        senders = stage.senders()
        senders.start()
        for number in range(moments):
            threading.Event().wait(scene.dice.random() * AT_WORK_S)
            scene.store.pause()
            until(lambda: bool(_files(stage, "spool")), "something is kept")
            stage.kill(stage.collector)
            with _files(stage, "spool")[-1].open("ab") as file:
                file.write(TORN[number % len(TORN)])
            scene.store.resume()
            stage.collector.start()
        senders.finish()
        return stage.result()


def flipped(scene: Scene, moments: int) -> Result:
    """A bit flips in what was acknowledged: the segment is kept whole where the operator finds it, and what can be read
    of it lands. What cannot is sent again, and lands. A bit in the collector's own ledger costs nothing at all."""
    with scene.stage("flipped bits") as stage:
        sender, unreadable = stage.senders(threads=0), 0
        for number in range(moments):
            scene.store.pause()
            bodies = [_deliver(stage, sender) for _ in range(KEPT)]
            stage.kill(stage.collector)
            file = scene.dice.choice(_files(stage, "ledger" if number % 3 == 2 else "spool"))
            stage.ledger_damaged |= file.parent.name == "ledger"
            _flip(file, scene.dice.randrange(file.stat().st_size), scene.dice.randrange(8))
            scene.store.resume()
            stage.collector.start()
            unreadable += _make_good(stage, sender, bodies, file)
        stage.note = f"{unreadable} spans could not be read, which was said; all in segments that were kept"
        return stage.result()


def _deliver(stage: Stage, sender: Senders) -> tuple[bytes, list[SpanSent]]:
    fresh = spans.draw(stage.scene.dice, 5)
    content = spans.body(fresh, tenant=stage.row, now_ns=clock.unix_nanos())
    sender.deliver(content, fresh)
    return content, fresh


def _make_good(stage: Stage, sender: Senders, bodies: list[tuple[bytes, list[SpanSent]]], file: Path) -> int:
    """Send again what is not there; how many spans that are. Raises Stuck where nobody was told of them."""
    lost = _not_there(stage, bodies)
    parked = Path(stage.settings["folder"]) / "parked" / file.name
    if len(lost) > 1 or (lost and not (file.parent.name == "spool" and parked.exists())):
        raise Stuck(
            f"{len(lost)} bodies are gone, and at most one was hit; {file.name} was damaged: {stage.collector.said}"
        )
    for content, fresh in lost:
        sender.deliver(content, fresh)
    if stays := [one for _, fresh in _not_there(stage, lost) for one in fresh]:
        raise Stuck(f"{len(stays)} spans were sent again and are not there; {file.name} was damaged")
    return sum(len(fresh) for _, fresh in lost)


def _not_there(stage: Stage, bodies: list[tuple[bytes, list[SpanSent]]]) -> list[tuple[bytes, list[SpanSent]]]:
    """Those of which a span is not in the store, once all has landed."""
    stage.settle()
    here = stage.scene.landed(stage.row).spans
    return [(content, fresh) for content, fresh in bodies if any(one.ids not in here for one in fresh)]


def _fill_and_free(stage: Stage, filler: Path, *, dies: bool) -> None:
    dice = stage.scene.dice
    threading.Event().wait(dice.random() * AT_WORK_S)
    _fill(filler)
    threading.Event().wait(FULL_S)
    if dies:
        stage.kill(stage.collector)
    else:
        stage.moments += 1
    filler.unlink()
    if dies:
        stage.collector.start()


def _fill(filler: Path) -> None:
    """Take every byte there is, and those that become free for a while: a small disk only."""
    fd = os.open(filler, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        free = os.fstatvfs(fd).f_bavail * os.fstatvfs(fd).f_frsize
        while 0 < free <= 64 * 1024 * 1024:
            free -= os.write(fd, bytes(min(free, 4096)))
    except OSError:
        return
    finally:
        os.close(fd)


def _mount(folder: Path) -> bool:
    if os.geteuid() or shutil.which("mount") is None:
        return False
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", str(folder)]
    return subprocess.run(mount, check=False, capture_output=True).returncode == 0


def _files(stage: Stage, kind: str) -> list[Path]:
    """The spool's segments or the ledger's files, oldest first, those with something in them."""
    found = sorted((Path(stage.settings["folder"]) / kind).iterdir())
    return [path for path in found if path.is_file() and path.stat().st_size]


def _flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes((byte ^ 1 << bit,)))
