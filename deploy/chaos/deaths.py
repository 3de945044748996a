"""The collector dies at each call that changes the disk: write, fdatasync, fsync, rename, unlink and their like.

Life after life it dies at the next call of its own, from the first of its start to the last of a landing, and each life
begins with what the one before left behind. Where some lives in a row come through a whole landing, there is no further
call. Two ways: the process counts its own calls (calls.py), or strace kills it at the kernel's door.
"""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable

from deploy.chaos import spans
from deploy.chaos.calls import MOMENTS
from deploy.chaos.processes import Process, Stuck
from deploy.chaos.scene import Result, Scene, Stage
from deploy.chaos.senders import Senders
from gateway.domain import clock

LIVES_MAX = 400
"""Of one sweep; a way into the store has a few dozen calls."""
LIVED_IN_A_ROW = 3
"""So many lives without a death end a sweep that takes every call; one is enough for a sweep that leaves some out."""
ENDS_WITHIN_S = 30.0
ALL_CALLS = 30
"""About how many a life has: with fewer moments than three times that, every n-th call is taken."""
TRACED = ("write", "writev", "pwrite64", "fdatasync", "fsync", "rename", "renameat2", "unlink", "unlinkat", "ftruncate")
CANNOT_TRACE = "strace is not here, or may not trace; on Debian: apt-get install strace"


def counted(scene: Scene, moments: int) -> Result:
    """The collector kills itself: before each call, within each write, after each call."""
    with scene.stage("each call of the collector", start=False) as stage:
        stride = max(1, len(MOMENTS) * ALL_CALLS // moments)
        for nth, moment in enumerate(MOMENTS):

            def start(call: int, moment: str = moment) -> None:
                stage.told(dies={"call": call, "moment": moment})
                stage.collector.spawn()

            _sweep(stage, stage.collector, start, first=1 + nth % stride, stride=stride)
        stage.told(dies=None)
        stage.collector.start()
        return stage.result()


def traced(scene: Scene, moments: int) -> Result:
    """strace kills the collector at the n-th call of each kind that one of its threads makes."""
    if not can_trace():
        raise NotRun(CANNOT_TRACE)
    with scene.stage("each system call of the collector", start=False) as stage:
        for call in TRACED:
            _sweep(stage, stage.collector, tracing(stage.collector, call), stride=_stride(call, moments))
        stage.collector.start()
        return stage.result()


def store(scene: Scene, moments: int) -> Result:
    """strace kills the store at the n-th call of each kind that one of its threads makes while it lands."""
    if not can_trace():
        raise NotRun(CANNOT_TRACE)
    with scene.stage("each system call of the store") as stage:
        scene.store.stop()
        for call in TRACED:
            start = tracing(scene.store, call)
            _sweep(stage, scene.store, start, stride=_stride(call, moments), lives_max=max(1, moments // len(TRACED)))
        scene.store.start()
        return stage.result()


class NotRun(RuntimeError):
    """A row that this machine cannot play; says why."""


def can_trace() -> bool:
    """Whether strace is here and what it should kill is killed."""
    if shutil.which("strace") is None:
        return False
    tried = ("strace", "-o", os.devnull, "-e", "inject=exit_group:signal=SIGKILL", "true")
    return subprocess.run(tried, check=False, capture_output=True).returncode == -signal.SIGKILL


def _stride(call: str, moments: int) -> int:
    """Writes are many, for sockets, wake-ups and logs are among them; the others are all taken."""
    return max(1, 300 // moments) if "write" in call else 1


def tracing(process: Process, call: str) -> Callable[[int], None]:
    """Starts the process so that it dies at the n-th such call of one of its threads."""

    def start(number: int) -> None:
        inject = f"inject={call}:signal=SIGKILL:when={number}"
        trace = ("strace", "-D", "-f", "-qqq", "-o", os.devnull, "-e", f"trace={call}", "-e", inject)
        process.spawn(prefix=trace)

    return start


def _sweep(
    stage: Stage,
    process: Process,
    start: Callable[[int], None],
    *,
    first: int = 1,
    stride: int = 1,
    lives_max: int = LIVES_MAX,
) -> None:
    """One life for each call, until some in a row come through."""
    lived = 0
    for life in range(lives_max):
        start(first + life * stride)
        lived = lived + 1 if _live(stage, process) else 0
        if lived == (LIVED_IN_A_ROW if stride == 1 else 1):
            return
    if lives_max == LIVES_MAX:
        raise Stuck(f"{process.name} still dies after {LIVES_MAX} lives")


def _live(stage: Stage, process: Process) -> bool:
    """One life: whether it landed a body, and what was there before, to the end."""
    sender = stage.senders(threads=0)
    sending = threading.Thread(target=_send_one, args=(stage, sender), daemon=True)
    sending.start()
    deadline = clock.monotonic() + ENDS_WITHIN_S
    lived = False
    while process.running and not lived:
        if clock.monotonic() > deadline:
            raise Stuck(f"a life neither ended nor landed within {ENDS_WITHIN_S:.0f} s: {process.said}")
        lived = not sending.is_alive() and stage.books().get("pending") == 0
        threading.Event().wait(0.02)
    stage.kills += not lived
    stage.moments += not lived
    process.kill()
    return lived


def _send_one(stage: Stage, sender: Senders) -> None:
    fresh = spans.draw(stage.scene.dice, 3)
    sender.deliver(spans.body(fresh, tenant=stage.row, now_ns=clock.unix_nanos()), fresh)
