"""What a collector's answer means for the spans that were sent: three verdicts, and nothing but a pure function.

OTLP lets a client drop what is answered 500 or 404; money is not dropped. Only an answer that blames the body itself
(400, 413, 415, 422) is final; all else, a wrong address and a wrong token included, is mended by somebody, and is sent
again for ever.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

_FINAL = frozenset((400, 413, 415, 422))
_MISCONFIGURED = frozenset((401, 403, 404, 405))
_ASKED_WAIT_MAX_S = 300.0
_WORDS_MAX = 200


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The spans are the collector's now, but for `rejected` of them."""

    rejected: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Again:
    """Send the same bytes again."""

    reason: str
    after_s: float = 0.0
    """The least wait the collector asked for, in seconds."""
    misconfigured: bool = False
    """Somebody has to mend something first."""


@dataclass(frozen=True, slots=True)
class Refused:
    """These bytes will never be taken."""

    reason: str


Verdict = Acknowledged | Again | Refused


def judge(status: int, retry_after: str, body: bytes, now: datetime) -> Verdict:
    """The verdict on an HTTP answer; `now` is aware, for a Retry-After that names a date."""
    if status == 200:
        return _acknowledged(body)
    reason = f"HTTP {status}"
    if status in _FINAL:
        return Refused(f"{reason}: {_words(body)}")
    return Again(reason, _asked_wait(retry_after, now), misconfigured=status in _MISCONFIGURED or 300 <= status < 400)


def _acknowledged(body: bytes) -> Verdict:
    try:
        partial = ExportTraceServiceResponse.FromString(body).partial_success
    except DecodeError:
        # A 200 in another tongue (JSON, a proxy's page): no OTLP receiver has acknowledged anything.
        return Again("HTTP 200 with a body that is no OTLP answer", misconfigured=True)
    return Acknowledged(partial.rejected_spans, partial.error_message[:_WORDS_MAX])


def _words(body: bytes) -> str:
    return "".join(letter for letter in body[:_WORDS_MAX].decode("utf-8", "replace") if letter.isprintable())


def _asked_wait(retry_after: str, now: datetime) -> float:
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            at = parsedate_to_datetime(retry_after)
        except ValueError:
            return 0.0
        seconds = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    # A NaN compares false with everything, so it ends as no wait.
    return min(seconds, _ASKED_WAIT_MAX_S) if seconds > 0 else 0.0
