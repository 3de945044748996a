"""Replays that die: SIGKILL while kept segments land again. Each span is seen once, before anybody finishes the run."""

import sys
import threading
from pathlib import Path
from subprocess import Popen

from deploy.chaos.processes import Stuck, until
from deploy.chaos.scene import Result, Scene, Stage

AT_WORK_S = 1.0
"""A kill comes within this time after a replay wrote that it begins a portion."""
SWAPPED_WITHIN_S = 30.0
"""What was asked of the store before the kill is carried out by then."""
SPANS = 2_000
SENDS_MAX_S = 60.0


def killed(scene: Scene, moments: int) -> Result:
    """One replay after the other dies, beside the collector; the last one lives to its end."""
    with scene.stage("replay killed") as stage:
        senders = stage.senders()
        senders.start()
        until(lambda: stage.ledger.acknowledged_spans > SPANS, "traffic", within_s=SENDS_MAX_S)
        senders.finish()
        stage.settle()
        finished = 0
        for number in range(moments):
            replaying = _start(stage, f"mapping {number}")
            begun = _written(stage)
            until(lambda: replaying.poll() is not None or _written(stage) > begun, "a portion is begun")  # noqa: B023
            threading.Event().wait(scene.dice.random() * AT_WORK_S)
            finished += replaying.poll() is not None
            replaying.kill()
            replaying.wait()
            stage.moments += 1
            stage.kills += 1
            until(lambda: _seen_once(stage), "each span is seen once", within_s=SWAPPED_WITHIN_S)
        last = _start(stage, "the last mapping")
        until(lambda: last.poll() is not None, "the last replay ends", within_s=SENDS_MAX_S)
        if last.returncode:
            raise Stuck(f"the last replay ended with {last.returncode}: see replays.log")
        stage.note = f"{finished} of the replays were through before their kill"
        return stage.result()


def _written(stage: Stage) -> int:
    """The bytes that replays wrote down."""
    return sum(path.stat().st_size for path in (Path(stage.settings["folder"]) / "replays").glob("*.replay"))


def _seen_once(stage: Stage) -> bool:
    return stage.ledger.judge(stage.scene.landed(stage.row)).holds


def _start(stage: Stage, mapping: str) -> "Popen[bytes]":
    command = (sys.executable, "-m", "deploy.chaos.replaying", str(stage.file), mapping)
    with (stage.scene.folder / "replays.log").open("ab") as log:
        return Popen(command, stdout=log, stderr=log)
