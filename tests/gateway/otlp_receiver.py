"""An OTLP/HTTP receiver in a thread: keeps every body it was sent, acknowledges or answers as a test tells it to."""

import gzip
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, slots=True)
class Answer:
    """What to say; `hang_up` says nothing and closes the connection, after the body was kept if `keep`."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hang_up: bool = False
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """One request as it came; `body` is inflated."""

    path: str
    headers: dict[str, str]
    body: bytes


def spans_in(body: bytes) -> list[Span]:
    """Every span of a trace request, in order."""
    request = ExportTraceServiceRequest.FromString(body)
    return [span for part in request.resource_spans for scope in part.scope_spans for span in scope.spans]


def partial_success(rejected: int, words: str) -> Answer:
    """200, with that many spans rejected."""
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=words)
    return Answer(body=ExportTraceServiceResponse(partial_success=partial).SerializeToString(), keep=True)


class Receiver:
    """What was sent, what was acknowledged, and what is answered next."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.acknowledged: list[bytes] = []
        """Bodies answered with 200, or kept by an answer that says so; a body seen twice is here twice."""
        self.next: deque[Answer] = deque()
        """Answers for the next requests, in order; then `rule`."""
        self.rule: Callable[[Sent], Answer] = lambda _sent: Answer()
        self.url = ""
        self.changed = threading.Condition()

    def answer(self, sent: Sent) -> Answer:
        """Keep the request, and decide."""
        with self.changed:
            self.sent.append(sent)
            answer = self.next.popleft() if self.next else self.rule(sent)
            if answer.keep or (answer.status == 200 and not answer.hang_up):
                self.acknowledged.append(sent.body)
            self.changed.notify_all()
            return answer

    def until(self, holds: Callable[[], bool], within_s: float = 20.0) -> None:
        """Wait for a request after which it holds; fails at the deadline."""
        with self.changed:
            assert self.changed.wait_for(holds, within_s), "the receiver waited in vain"

    def kept(self) -> list[Span]:
        """Every span acknowledged, a body sent again counted once, as by a collector that knows bodies by digest."""
        return [span for body in dict.fromkeys(self.acknowledged) for span in spans_in(body)]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that was killed while it waited is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver on a free port of loopback."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = state.answer(Sent(self.path, headers, body))
            if answer.hang_up:
                self.close_connection = True
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - The base class's name.
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
