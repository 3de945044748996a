"""The same body at once and again: five senders with one body, at the same moment, each on a connection of its own."""

import threading

from deploy.chaos import spans
from deploy.chaos.scene import Result, Scene
from gateway.domain import clock

AT_ONCE = 5


def same_body(scene: Scene, moments: int) -> Result:
    """Each of the five is acknowledged; the spans are there once. Now and then the collector dies among them."""
    with scene.stage("same body five times") as stage:
        sender = stage.senders(threads=0)
        for number in range(moments):
            fresh = spans.draw(scene.dice, 20)
            content = spans.body(fresh, tenant=stage.row, now_ns=clock.unix_nanos())
            gate = threading.Barrier(AT_ONCE)

            def send(zipped: bool, gate: threading.Barrier = gate, content: bytes = content) -> None:
                gate.wait()
                sender.deliver(content, fresh, zipped=zipped)  # noqa: B023 - joined before the next one

            threads = [threading.Thread(target=send, args=(n % 2 == 1,), daemon=True) for n in range(AT_ONCE)]
            for thread in threads:
                thread.start()
            if number % 5 == 4:
                threading.Event().wait(scene.dice.random() * 0.02)
                stage.kill(stage.collector)
                stage.collector.start()
            else:
                stage.moments += 1
            for thread in threads:
                thread.join()
        sender.finish()
        return stage.result()
