"""The signals of OTLP: where each is sent, what it is made of, and what is said of those that are not kept here.

Only traces are kept. Logs and metrics are answered as OTLP asks for what is understood and not taken: a success whose
partial_success counts every item as rejected and says why, so that senders of all three signals neither retry nor stop.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces

from collector.framing import count

NOT_KEPT = "only traces are kept here; send {what} to another backend"


@dataclass(frozen=True, slots=True)
class Signal:
    """One signal."""

    name: str
    path: str
    """Where HTTP sends it."""
    service: str
    """Whose Export gRPC calls."""
    request: Any
    """The request's message class,"""
    response: Any
    """and the answer's."""
    rejected: str
    """The field of a partial success that counts what was not taken."""
    what: str
    items: tuple[Container[int], ...]
    """The field numbers that lead to its items."""

    def not_kept(self, body: bytes) -> Any:
        """The answer to a request that is understood and not kept. Raises BadRequest, TooLarge."""
        rejected = count(body, *self.items)
        answer = self.response()
        if rejected:
            setattr(answer.partial_success, self.rejected, rejected)
            answer.partial_success.error_message = NOT_KEPT.format(what=self.what)
        return answer


def _signal(
    name: str, noun: str, messages: Any, *, rejected: str, what: str, items: tuple[Container[int], ...]
) -> Signal:
    """One as OTLP defines it, by the noun in the names of its service and its messages."""
    service = messages.DESCRIPTOR.services_by_name[f"{noun}Service"].full_name
    return Signal(
        name=name,
        path=f"/v1/{name}",
        service=service,
        request=getattr(messages, f"Export{noun}ServiceRequest"),
        response=getattr(messages, f"Export{noun}ServiceResponse"),
        rejected=rejected,
        what=what,
        items=items,
    )


GROUPED = ((1,), (2,), (2,))
"""Resources, scopes, items."""
# A metric's data is one of gauge, sum, histogram, exponential histogram and summary; each begins with its points.
POINTS = (*GROUPED, (5, 7, 9, 10, 11), (1,))

TRACES = _signal("traces", "Trace", traces, rejected="rejected_spans", what="spans", items=GROUPED)
LOGS = _signal("logs", "Logs", logs, rejected="rejected_log_records", what="logs", items=GROUPED)
METRICS = _signal("metrics", "Metrics", metrics, rejected="rejected_data_points", what="metrics", items=POINTS)
SIGNALS = (TRACES, LOGS, METRICS)
BY_PATH = {signal.path: signal for signal in SIGNALS}
