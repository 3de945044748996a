"""Waits until all that the traffic caused is in the store: nothing under way, nothing pending, the counts at rest.

Asks only what any operator could: the vendors' books, the /metrics of gateway and collector, and the store.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from deploy.demo.polling import until
from deploy.errors import OperatorError
from gateway.domain import clock

LANDED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.2
AT_REST_S = 1.2
"""How long nothing may change: longer than a span may wait in an open segment of the journal."""

CLIENT = httpx.Client(timeout=5, trust_env=False, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
"""Made once: httpx would read every certificate of the machine for each look, and these are on loopback."""

GATEWAY_PENDING = ("tollway_journal_open_intents", "tollway_journal_segments_pending")
COLLECTOR_PENDING = ("tollway_collector_pending_spans",)


class NotLanded(OperatorError):
    """Spans are still on their way after LANDED_WITHIN_S; says where."""


@dataclass(slots=True)
class Landing:
    """What is asked. `open_requests` of the vendors, `landed` a count of what the store has, missing ids included."""

    gateway_url: str
    collector_url: str
    open_requests: Callable[[], int]
    landed: Callable[[], Sequence[object]]
    """Anything that is equal as long as nothing lands."""

    def wait(self) -> float:
        """Block until everything has landed; the seconds it took. Raises NotLanded."""
        began = clock.monotonic()
        last: tuple[object, ...] = ()
        since = began

        def at_rest() -> bool:
            nonlocal last, since
            pending = self.pending()
            seen = (pending, *self.landed())
            now = clock.monotonic()
            if pending or seen != last:
                last, since = seen, now
            return now - since >= AT_REST_S

        if not until(at_rest, within_s=LANDED_WITHIN_S, every_s=LOOK_EVERY_S):
            raise NotLanded(f"after {LANDED_WITHIN_S:.0f} s there is still on its way: {self.pending() or 'something'}")
        return clock.monotonic() - began

    def pending(self) -> str:
        """What is under way, in words; "" when nothing is."""
        found = {
            "requests at the vendors": float(self.open_requests()),
            "in the gateway's journal": scraped(self.gateway_url, GATEWAY_PENDING),
            "spans in the collector's spool": scraped(self.collector_url, COLLECTOR_PENDING),
        }
        return ", ".join(f"{count:g} {what}" for what, count in found.items() if count)


def scraped(url: str, names: Sequence[str]) -> float:
    """The sum of those gauges at url/metrics; 1 while nobody answers, for then nobody can say that all is well."""
    try:
        text = CLIENT.get(f"{url}/metrics").raise_for_status().text
    except httpx.HTTPError:
        return 1.0
    samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name in names)
