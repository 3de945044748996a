"""The rows by name, how many of the moments each gets, and their running one after the other."""

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.chaos import bursts, deaths, disks, gateway, kills, outage, replays, stops
from deploy.chaos.processes import Stuck
from deploy.chaos.report import Line
from deploy.chaos.scene import Play, Scene
from deploy.chaos.senders import NeverTaken
from gateway.domain import clock

ROWS: Mapping[str, tuple[Play, float]] = {
    "kill-collector": (kills.collector, 0.4),
    "kill-store": (kills.store, 0.2),
    "kill-both": (kills.both, 0.15),
    "kill-gateway": (gateway.killed, 0.25),
    "calls-collector": (deaths.counted, 0.3),
    "strace-collector": (deaths.traced, 1.0),
    "strace-store": (deaths.store, 0.2),
    "strace-gateway": (gateway.traced, 0.2),
    "stop-collector": (stops.collector, 0.05),
    "stop-store": (stops.store, 0.05),
    "full-disk": (disks.full, 0.05),
    "torn-bytes": (disks.torn, 0.05),
    "flipped-bits": (disks.flipped, 0.1),
    "outage": (outage.two_hours, 0.1),
    "same-body": (bursts.same_body, 0.2),
    "kill-replay": (replays.killed, 0.1),
}
"""Each row, and its moments as a share of those asked for."""


def play(rows: Sequence[str], *, moments: int, seed: int, minutes_max: float, say: Callable[[str], None]) -> list[Line]:
    """Play the rows; rows that the time does not suffice for are failures, for they show nothing."""
    deadline = clock.monotonic() + 60 * minutes_max
    lines: list[Line] = []
    with opened(seed) as scene:
        for name in rows:
            if clock.monotonic() > deadline:
                lines.append(Line(name, why=f"not begun within {minutes_max:g} minutes"))
                continue
            say(name)
            lines.append(play_row(scene, name, moments))
            say(f"{name}: {'FAILED' if lines[-1].failed else 'holds'} {lines[-1].as_json()}")
    return lines


def play_row(scene: Scene, name: str, moments: int) -> Line:
    """Play one row with its share of the moments. What a row cannot do, and what gets stuck, is in the line."""
    row, share = ROWS[name]
    try:
        scene.ensure_store()
        return Line(name, row(scene, max(1, math.ceil(moments * share))))
    except deaths.NotRun as reason:
        return Line(name, why=str(reason), not_run=True)
    except (Stuck, NeverTaken, OSError) as error:
        return Line(name, why=f"{type(error).__name__}: {error}")


@contextmanager
def opened(seed: int) -> Iterator[Scene]:
    """A scene in a temporary folder; both end with the block."""
    with tempfile.TemporaryDirectory(prefix="tollway-chaos-", ignore_cleanup_errors=True) as folder:
        scene = Scene(Path(folder), seed)
        try:
            scene.open()
            yield scene
        finally:
            scene.close()
