"""SIGSTOP under senders that hang up after half a second: what was answered to nobody comes again, and lands once."""

import threading

from deploy.chaos.scene import Result, Scene

TIMEOUT_S = 0.5
AT_WORK_S = 0.5
STOPPED_S = 1.2
"""At most; longer than the senders' patience."""


def collector(scene: Scene, moments: int) -> Result:
    """The collector stops; its senders hang up and come again to a collector that has their first bodies still."""
    with scene.stage("stop collector") as stage:
        senders = stage.senders(timeout_s=TIMEOUT_S)
        senders.start()
        for number in range(moments):
            threading.Event().wait(scene.dice.random() * AT_WORK_S)
            stage.collector.pause()
            threading.Event().wait(TIMEOUT_S + scene.dice.random() * (STOPPED_S - TIMEOUT_S))
            if number % 2:
                stage.kill(stage.collector)
                stage.collector.start()
            else:
                stage.collector.resume()
                stage.moments += 1
        senders.finish()
        stage.note = f"{senders.answers[0]} requests timed out"
        return stage.result()


def store(scene: Scene, moments: int) -> Result:
    """The store stops in mid-insert, and goes on, or is killed where it stands."""
    with scene.stage("stop store") as stage:
        senders = stage.senders()
        senders.start()
        for number in range(moments):
            threading.Event().wait(scene.dice.random() * AT_WORK_S)
            scene.store.pause()
            threading.Event().wait(scene.dice.random() * STOPPED_S)
            if number % 2:
                stage.kill(scene.store)
                scene.store.start()
            else:
                scene.store.resume()
                stage.moments += 1
        senders.finish()
        return stage.result()
