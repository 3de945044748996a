"""Sends sealed segments to an OTLP endpoint, oldest first, and deletes what was acknowledged; nothing else is deleted.

One segment is one body: its spans joined, the same bytes however often it is sent, so that the collector knows a
resend by its digest. It retries for ever, with backoff and jitter. A body that can never be taken is halved until the
bad span is alone; that one is parked, and the rest goes on. (If the process dies amid the halves, the whole is sent
again, and the collector knows the spans by their ids.) Runs in one daemon thread of its own.
"""

import gzip
import logging
import random
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from gateway.domain import clock
from gateway.domain.segments import read_records
from gateway.journal import records
from gateway.journal.answer import Acknowledged, Again, Refused, Verdict, judge
from gateway.journal.journal import Journal
from gateway.journal.outbox import Sealed
from gateway.journal.stats import ShipperStats

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where spans go."""

    url: str
    """Without the /v1/traces."""
    token: str = field(repr=False)
    """Sent as a bearer token; "" sends none."""
    gzip: bool = False
    """Worth it where the network costs more than the CPU; not on loopback."""
    timeout_s: float = 15.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """For an https address; None = the system's CAs, and no certificate of one's own."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits between sends of the same body: doubling, each drawn from its upper half."""

    first_s: float = 0.1
    max_s: float = 30.0
    draw: Callable[[], float] = random.SystemRandom().random

    def wait_s(self, failures: int, asked_s: float) -> float:
        """How long to wait after the `failures`-th failure in a row, at least `asked_s`."""
        full = min(self.max_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return max(asked_s, full * (0.5 + self.draw() / 2))


class Shipper:
    """Empties a journal's outbox."""

    def __init__(self, journal: Journal, endpoint: Endpoint, *, backoff: Backoff | None = None) -> None:
        """Nothing is sent before `start`."""
        self._journal = journal
        self._outbox = journal.outbox
        self._gzip = endpoint.gzip
        self._url = endpoint.url.rstrip("/") + "/v1/traces"
        self._backoff = backoff or Backoff()
        self._client = _client(endpoint)
        self._stop = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._spans = self._bytes = self._segments = self._rejected = self._retries = 0
        self._failures = 0
        self._problem = ""
        self._acknowledged_at: float | None = None

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Send all that was recorded, waiting for it at most `timeout_s`, and stop; whether nothing is left."""
        try:
            self._journal.seal()
        except OSError as error:
            _log.error("the last segment could not be sealed; the next start ships it: %s", error)
        self._hurry.set()
        empty = self._outbox.wait_empty(timeout_s)
        self.stop()
        return empty

    def stop(self) -> None:
        """Stop after the answer that is awaited now, if any; what was not acknowledged stays on the disk."""
        self._stop.set()
        self._hurry.set()
        self._outbox.hurry()
        if self._thread.is_alive():
            self._thread.join(timeout=1.0)
        self._client.close()

    def stats(self, now: float) -> ShipperStats:
        """Counts, for /metrics; `now` in seconds of `clock.monotonic`."""
        acknowledged_at = self._acknowledged_at
        return ShipperStats(
            shipped_spans=self._spans,
            shipped_bytes=self._bytes,
            shipped_segments=self._segments,
            rejected_spans=self._rejected,
            retries=self._retries,
            last_problem=self._problem,
            seconds_since_ack=None if acknowledged_at is None else now - acknowledged_at,
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            sealed = self._outbox.head()
            if sealed is None or self._stop.is_set():
                continue
            try:
                self._ship(sealed)
            except Exception as error:  # noqa: BLE001 - Whatever goes wrong, the segment stays and is tried again.
                _log.exception("the segment %s could not be shipped", sealed.path)
                self._wait(Again(type(error).__name__))

    def _ship(self, sealed: Sealed) -> None:
        found = read_records(sealed.path, records.START)
        spans = records.spans(found.records)
        if spans and not self._deliver(spans):
            return
        if found.corrupt or found.torn_bytes:
            # Nobody writes to it any more and recovery cut what a dead writer tore: bytes left over are damage too.
            reason = found.corrupt[0].reason if found.corrupt else f"{found.torn_bytes} bytes of a torn record"
            _log.error("%s is damaged (%s); it is kept among the parked", sealed.path, reason)
            self._journal.parked.damaged(sealed.path)
        self._outbox.done(sealed)
        self._segments += 1

    def _deliver(self, spans: Sequence[bytes]) -> bool:
        """Send until the spans are acknowledged or parked; False if told to stop before that."""
        body = b"".join(spans)
        while not self._stop.is_set():
            verdict = self._post(body)
            if isinstance(verdict, Acknowledged):
                self._acknowledged(verdict, spans, len(body))
                return True
            if isinstance(verdict, Refused):
                return self._part(spans, verdict)
            self._wait(verdict)
        return False

    def _part(self, spans: Sequence[bytes], verdict: Refused) -> bool:
        if len(spans) == 1:
            _log.error("a span will never be taken (%s); it is parked", verdict.reason)
            self._journal.parked.span(verdict.reason, spans[0])
            return True
        half = len(spans) // 2
        return self._deliver(spans[:half]) and self._deliver(spans[half:])

    def _post(self, body: bytes) -> Verdict:
        headers = {}
        if self._gzip:
            headers["content-encoding"] = "gzip"
            body = gzip.compress(body, 1, mtime=0)
        try:
            answer = self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return Again(f"{type(error).__name__}: {error}")
        return judge(answer.status_code, answer.headers.get("retry-after", ""), answer.content, clock.utc_now())

    def _acknowledged(self, verdict: Acknowledged, spans: Sequence[bytes], size: int) -> None:
        if self._failures:
            _log.warning("the collector takes spans again")
        if verdict.rejected:
            _log.error("the collector rejected %d of %d spans: %s", verdict.rejected, len(spans), verdict.reason)
            # Which ones it does not say. All of them are kept; those it did take are known by their span ids.
            for span in spans:
                self._journal.parked.span(f"partial success: {verdict.reason}", span)
        self._failures = 0
        self._problem = ""
        self._rejected += verdict.rejected
        self._spans += len(spans) - verdict.rejected
        self._bytes += size
        self._acknowledged_at = clock.monotonic()

    def _wait(self, verdict: Again) -> None:
        self._failures += 1
        self._retries += 1
        self._problem = verdict.reason
        level = logging.ERROR if verdict.misconfigured else logging.WARNING
        _log.log(level, "%s did not take our spans (%s); they are kept and sent again", self._url, verdict.reason)
        wait_s = self._backoff.wait_s(self._failures, verdict.after_s)
        if self._hurry.wait(wait_s):
            # The process is about to end: try often, since this is the last chance before its next start.
            self._stop.wait(self._backoff.first_s)


def _client(endpoint: Endpoint) -> httpx.Client:
    headers = {"content-type": "application/x-protobuf", "user-agent": "tollway-gateway"}
    if endpoint.token:
        headers["authorization"] = f"Bearer {endpoint.token}"
    return httpx.Client(
        headers=headers,
        timeout=endpoint.timeout_s,
        # Proxies, netrc and the like from the environment must not change where spans go or whose token they carry.
        trust_env=False,
        # Certificates are loaded only where they will be asked for; a redirect is not followed anywhere.
        verify=(endpoint.tls or ssl.create_default_context()) if endpoint.url.startswith("https:") else False,
    )
