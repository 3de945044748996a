"""Waiting for spans to land: over a real /metrics, until nothing is pending and nothing has moved for a while."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deploy.demo import landing
from deploy.demo.landing import Landing, NotLanded, scraped

METRICS = """\
# HELP tollway_collector_pending_spans Acknowledged, not yet landed.
# TYPE tollway_collector_pending_spans gauge
tollway_collector_pending_spans{{sender="gateway"}} {0}.0
tollway_collector_pending_spans{{sender="other"}} {0}.0
# HELP tollway_journal_open_intents Attempts under way.
# TYPE tollway_journal_open_intents gauge
tollway_journal_open_intents {0}.0
# HELP tollway_journal_bytes Bytes not acknowledged yet.
# TYPE tollway_journal_bytes gauge
tollway_journal_bytes 4096.0
"""


@dataclass
class Part:
    """A server whose /metrics says each pending count in its turn, and the last of them from then on."""

    pending: list[int]
    url: str = ""
    asked: int = field(default=0)

    def page(self) -> bytes:
        self.asked += 1
        return METRICS.format(self.pending[min(self.asked, len(self.pending)) - 1]).encode()


@contextmanager
def part(*pending: int) -> Iterator[Part]:
    shown = Part(list(pending))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = shown.page()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        shown.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield shown
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(landing, "AT_REST_S", 0.1)
    monkeypatch.setattr(landing, "LANDED_WITHIN_S", 5.0)


def test_the_named_gauges_are_added_up_over_their_labels() -> None:
    with part(3) as shown:
        assert scraped(shown.url, landing.COLLECTOR_PENDING) == 6
        assert scraped(shown.url, landing.GATEWAY_PENDING) == 3


def test_who_does_not_answer_may_have_something_pending() -> None:
    assert scraped("http://127.0.0.1:9", landing.GATEWAY_PENDING) > 0


def test_it_waits_while_anything_is_pending_anywhere_and_while_spans_still_arrive() -> None:
    open_requests, counts = iter([2, 1, 0, 0]), iter([10, 11, 12])
    with part(1, 1, 0) as gateway, part(1, 0) as collector:
        waiting = Landing(
            gateway_url=gateway.url,
            collector_url=collector.url,
            open_requests=lambda: next(open_requests, 0),
            landed=lambda: (next(counts, 12),),
        )
        assert waiting.wait() >= 0.1
        assert waiting.pending() == ""
    assert next(open_requests, None) is None
    assert next(counts, None) is None
    assert gateway.asked > 3


def test_it_says_what_is_on_its_way_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landing, "LANDED_WITHIN_S", 0.2)
    with part(0) as gateway, part(2) as collector:
        waiting = Landing(
            gateway_url=gateway.url, collector_url=collector.url, open_requests=lambda: 0, landed=lambda: ()
        )
        with pytest.raises(NotLanded, match="4 spans in the collector's spool"):
            waiting.wait()
