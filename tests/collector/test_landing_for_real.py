"""The collector's process and the store's, end to end: what is acknowledged is in ClickHouse, once."""

import gzip
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from tests.collector.emitting import body, keys
from tests.collector.oracle import column, landed
from tests.collector.processes import APP_TOKEN, RunningCollector, until

pytestmark = pytest.mark.slow

Start = Callable[..., RunningCollector]
MIB = 1024 * 1024


def test_a_span_is_in_the_store_within_two_seconds_of_its_acknowledgement(store: Any, start_collector: Start) -> None:
    collector = start_collector(store, segment_age_s=0.5)
    for zipped in (False, True):
        sent = keys(50)
        assert collector.post(body(sent), zipped=zipped).status_code == 200
        until(lambda sent=sent: landed(store, sent) == Counter(sent), "all spans are there once", within_s=2.0)  # type: ignore[misc]


def test_a_body_sent_again_and_its_spans_in_another_body_are_there_once(store: Any, start_collector: Start) -> None:
    collector = start_collector(store)
    a, b, c = keys(3)
    for sent in ([a, b], [a, b], [b, c], [a, a, c]):
        assert collector.post(body(sent)).status_code == 200
    until(collector.settled, "all has landed")
    assert landed(store, [a, b, c]) == Counter([a, b, c])
    account = collector.books()["gateway"]
    assert (account["received"], account["stored"], account["duplicate"], account["drift"]) == (9, 3, 6, 0)


def test_the_same_body_is_known_after_a_restart(store: Any, start_collector: Start) -> None:
    collector = start_collector(store)
    sent = keys(5)
    collector.post(body(sent))
    until(collector.settled, "it has landed")
    collector.kill()
    collector.start()
    assert collector.post(body(sent)).status_code == 200
    assert collector.post(body(sent[:2])).status_code == 200
    until(collector.settled, "the books are closed")
    assert landed(store, sent) == Counter(sent)
    account = collector.books()["gateway"]
    assert (account["received"], account["stored"], account["duplicate"]) == (12, 5, 7)


def test_a_collector_whose_folder_was_lost_asks_the_store_what_landed(store: Any, start_collector: Start) -> None:
    sent = keys(5)
    first = start_collector(store)
    first.post(body(sent))
    until(first.settled, "it has landed")
    second = start_collector(store)
    second.post(body([*sent, extra := keys(1)[0]]))
    until(second.settled, "the books are closed")
    assert landed(store, [*sent, extra]) == Counter([*sent, extra])


def test_the_spans_of_the_opentelemetry_sdk_land(store: Any, start_collector: Start) -> None:
    collector = start_collector(store)
    exporter = OTLPSpanExporter(
        endpoint=f"{collector.url}/v1/traces", headers={"authorization": f"Bearer {APP_TOKEN}"}, timeout=10
    )
    provider = TracerProvider(resource=Resource.create({"service.name": "an-independent-emitter"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    spans: list[ReadableSpan] = []
    for number in range(300):
        with tracer.start_as_current_span(f"chat {number}", kind=trace.SpanKind.CLIENT) as span:
            span.set_attribute("gen_ai.request.model", "gpt-4o-mini")
            assert isinstance(span, ReadableSpan)
            spans.append(span)
    provider.shutdown()
    sent = [s.context.trace_id.to_bytes(16, "big") + s.context.span_id.to_bytes(8, "big") for s in spans if s.context]
    until(lambda: landed(store, sent) == Counter(sent), "all 300 are there once")
    assert column(store, "model", sent) == {"gpt-4o-mini"}
    assert column(store, "service", sent) == {"an-independent-emitter"}


def test_a_span_that_clickhouse_cannot_take_is_parked_and_all_others_land(store: Any, start_collector: Start) -> None:
    collector = start_collector(store)
    sent = keys(40)
    poison = b"\x0a\x1f\x12\x1d\x12\x1b" + b"\x0a\x10" + bytes(range(16)) + b"\x12\x05odd!!" + b"\x28\x07"
    collector.post(body(sent[:20]) + poison + body(sent[20:]))
    until(collector.settled, "the books are closed")
    assert landed(store, sent) == Counter(sent)
    account = collector.books()["gateway"]
    assert (account["stored"], account["parked"], account["drift"]) == (40, 1, 0)
    (why,) = (collector.folder / "parked").glob("*.json")
    assert "UNKNOWN_PROTOBUF_FORMAT" in orjson.loads(why.read_bytes())["reason"]
    assert why.with_suffix(".otlp").read_bytes() == poison


def test_what_is_not_taken_is_told_why_and_harms_nothing(store: Any, start_collector: Start) -> None:
    collector = start_collector(store)
    good = body(keys(1))
    bomb = gzip.compress(bytes(100 * MIB))
    assert collector.post(b"\xffgarbage").status_code == 400
    assert collector.post(b"garbage", content_encoding="gzip").status_code == 400
    assert collector.post(good, token="wrong").status_code == 401
    assert collector.post(bomb, content_encoding="gzip").status_code == 413
    assert collector.post(bytes(64 * MIB + 1)).status_code == 413
    assert collector.post(good, content_type="text/plain").status_code == 415
    assert collector.post(good).status_code == 200
    until(collector.settled, "the good one has landed")
    assert collector.books() == {
        "gateway": {"received": 1, "stored": 1, "duplicate": 0, "parked": 0, "pending": 0, "drift": 0}
    }


def test_above_the_high_water_mark_senders_wait_and_nothing_is_lost(store: Any, start_collector: Start) -> None:
    collector = start_collector(store, spool_bytes_max=20_000)
    collector.kill()
    address, collector.store_url = collector.store_url, "http://127.0.0.1:9"
    collector.start()
    sent: list[bytes] = []
    answer = httpx.Response(200)
    while answer.status_code == 200:
        fresh = keys(50)
        answer = collector.post(body(fresh))
        sent += fresh if answer.status_code == 200 else []
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert httpx.get(f"{collector.url}/readyz").status_code == 200
    collector.kill()
    collector.store_url = address
    collector.start()
    until(lambda: collector.post(body(fresh)).status_code == 200, "there is room again")
    until(collector.settled, "all has landed")
    assert landed(store, sent + fresh) == Counter(sent + fresh)


def test_it_ends_cleanly_when_asked_and_goes_on_where_it_was(store: Any, start_collector: Start) -> None:
    collector = start_collector(store, segment_age_s=3600)
    sent = keys(5)
    collector.post(body(sent))
    assert collector.stop() == 0
    collector.limits["segment_age_s"] = 0.1
    collector.start()
    until(lambda: landed(store, sent) == Counter(sent), "what was left behind has landed")


@pytest.mark.parametrize("what", ["folder", "port"])
def test_what_stops_it_from_starting_is_one_line(store: Any, start_collector: Start, tmp_path: Path, what: str) -> None:
    first = start_collector(store)
    folder = first.folder if what == "folder" else tmp_path / "other"
    settings = {
        "folder": str(folder),
        "senders": [{"name": "gateway", "token": "t", "may_name_tenants": True}],
        "store_url": store.url,
        "secrets_dir": str(first.secrets_dir),
        "port": first.port,
        "limits": {},
    }
    second = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "serve.py"), orjson.dumps(settings).decode()],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={"PYTHONPATH": "."},
    )
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert ("another collector works in" if what == "folder" else "is taken") in line
