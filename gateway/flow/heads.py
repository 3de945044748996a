"""The header lines of our answers: each ends with CRLF, none says how long the body is."""

from gateway.catalogue import Route
from gateway.domain.attempt import Intent
from gateway.domain.ids import RequestId
from gateway.domain.money import plain
from gateway.errors import GatewayError


def ids(request_id: RequestId, shown: bytes = b"") -> bytes:
    """What the request is called: `x-tollway-request-id` is the name on the books, `x-request-id` the one that `shown`
    gives, the vendor's, or else the same."""
    on_the_books = request_id.encode("ascii")
    return b"".join((b"x-request-id: ", shown or on_the_books, b"\r\nx-tollway-request-id: ", on_the_books, b"\r\n"))


def common(request_id: RequestId, route: Route, queue_s: float, cache_status: str, shown_id: bytes = b"") -> bytes:
    """What every answer to a routed request carries."""
    waited = f"{queue_s:.6f}" if queue_s else "0"
    lines = f"x-tollway-queue-seconds: {waited}\r\nx-tollway-cache: {cache_status}\r\n"
    return ids(request_id, shown_id) + lines.encode("ascii") + route.answer_head


def of_intent(intent: Intent) -> bytes:
    """Who answered, at which depth, why, and what it was expected to cost (no line = not known)."""
    lines = f"x-tollway-upstream: {intent.upstream}\r\nx-tollway-fallback-depth: {intent.fallback_depth}\r\n"
    if intent.fallback_reason:
        lines += f"x-tollway-fallback-reason: {intent.fallback_reason}\r\n"
    if intent.estimated_cost_usd is not None:
        lines += f"x-tollway-estimated-cost-usd: {plain(intent.estimated_cost_usd)}\r\n"
    return lines.encode("ascii")


def of_error(error: GatewayError) -> bytes:
    """What an error of our own adds."""
    lines = "content-type: application/json\r\n"
    if error.retry_after_s is not None:
        lines += f"retry-after: {error.retry_after_s}\r\n"
    if error.final:
        lines += "x-should-retry: false\r\n"
    return lines.encode("ascii")


def refusal(request_id: RequestId, error: GatewayError) -> bytes:
    """All that an error carries where there is no route."""
    return ids(request_id) + of_error(error)
