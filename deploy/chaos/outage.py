"""Two hours without a store, on a clock that runs fast: all is acknowledged meanwhile, and all lands afterwards.

The collector's own clock goes `SPEED` times as fast as ours and its longest pause between two tries is that much
shorter, so it tries as often as in two real hours. The outage may cross midnight, where batches change their day.
"""

from deploy.chaos.processes import until
from deploy.chaos.scene import Result, Scene
from gateway.domain import clock

OUTAGE_S = 2 * 3600.0
PAUSE_S = 15.0
"""The longest pause between two tries, as it is by default."""
WALL_S = 12.0
"""How long the two hours take where there is time;"""
WALL_SHORT_S = 2.0
"""and where there is not."""


def two_hours(scene: Scene, moments: int) -> Result:
    """One outage; with ten moments or more it takes its time."""
    wall_s = WALL_S if moments >= 10 else WALL_SHORT_S
    speed = OUTAGE_S / wall_s
    with scene.stage(
        "two hours without a store", start=False, retry_s_max=PAUSE_S / speed, segment_age_s=0.5 * speed
    ) as stage:
        stage.told(speed=speed)
        stage.collector.start()
        senders = stage.senders()
        senders.start()
        until(lambda: stage.ledger.acknowledged_spans > 200, "traffic")
        stage.kill(scene.store)
        began, before = clock.monotonic(), stage.ledger.acknowledged_spans
        until(lambda: clock.monotonic() - began >= wall_s, "two hours are over")
        meanwhile = stage.ledger.acknowledged_spans - before
        scene.store.start()
        senders.finish()
        stage.note = f"{meanwhile} spans acknowledged while it was away"
        return stage.result()
