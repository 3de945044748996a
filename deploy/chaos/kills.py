"""SIGKILL at random moments under traffic: of the collector, of the store, of both at once; and in their start-up."""

import threading
from collections.abc import Callable, Sequence

from deploy.chaos.processes import Process
from deploy.chaos.scene import Result, Scene, Stage

AT_WORK_S = 0.6
"""A kill comes within this time after everything serves,"""
IN_START_UP = 0.25
"""or, in this share of cases, while what was killed is still starting."""
START_UP_S = 1.2

Victims = Callable[[Stage], Sequence[Process]]


def collector(scene: Scene, moments: int) -> Result:
    """The collector alone."""
    return _killed(scene, "kill collector", moments, lambda stage: [stage.collector])


def store(scene: Scene, moments: int) -> Result:
    """The store alone; what is sent meanwhile waits in the spool."""
    return _killed(scene, "kill store", moments, lambda stage: [scene.store])


def both(scene: Scene, moments: int) -> Result:
    """Both at once, as when the machine's memory runs out."""
    return _killed(scene, "kill both", moments, lambda stage: [scene.store, stage.collector])


def _killed(scene: Scene, row: str, moments: int, victims: Victims) -> Result:
    with scene.stage(row) as stage:
        senders = stage.senders()
        senders.start()
        for _ in range(moments):
            threading.Event().wait(scene.dice.random() * AT_WORK_S)
            stage.kill(*victims(stage))
            if stage.moments < moments and scene.dice.random() < IN_START_UP:
                for process in victims(stage):
                    process.spawn()
                threading.Event().wait(scene.dice.random() * START_UP_S)
                stage.kill(*victims(stage))
            for process in victims(stage):
                process.spawn()
            for process in victims(stage):
                process.wait_ready()
            if stage.moments >= moments:
                break
        senders.finish()
        stage.note = f"{senders.answers[0]} requests without an answer"
        return stage.result()
