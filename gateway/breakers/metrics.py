"""The breakers and the regions for Prometheus: read when someone scrapes, labelled by the configuration's names."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.breakers.brownout import Status
from gateway.breakers.keeper import Breakers
from gateway.metrics import gauge

PLACE = ("provider", "region")


def breaker_metrics(breakers: Breakers, now: float) -> Iterator[Metric]:
    """States and moves of all breakers, over all tenants, and the brownouts of regions."""
    yield gauge("tollway_breakers", "Breakers by state.", ("alias", "upstream", "state"), breakers.by_state().items())
    yield gauge(
        "tollway_breakers_not_closed",
        "Breakers open or probing.",
        ("alias", "upstream"),
        breakers.open_by_upstream().items(),
    )
    moves = CounterMetricFamily(
        "tollway_breaker_transitions", "Breakers that moved.", labels=("upstream", "before", "after", "cause")
    )
    for labels, count in breakers.transitions.items():
        moves.add_metric(labels, count)
    yield moves
    regions = breakers.regions
    browned = ((place, float(status is Status.OPEN)) for place, status in regions.statuses(now).items())
    yield gauge("tollway_region_brownout", "1 while new requests skip the region.", PLACE, browned)
    text = "From the first breaker's opening to the last one's closing, of the last recovery."
    yield gauge("tollway_region_recovery_seconds", text, PLACE, regions.recovery_s.items())
    count_of = CounterMetricFamily("tollway_region_brownouts", "How often the region browned out.", labels=PLACE)
    for place, count in regions.count.items():
        count_of.add_metric(place, count)
    yield count_of
    text = "Recoveries that took longer than the tier's sla.recovery_s."
    late = CounterMetricFamily("tollway_region_recoveries_late", text, labels=("tier", *PLACE))
    for promise, times in breakers.recoveries_late.items():
        late.add_metric(promise, times)
    yield late
