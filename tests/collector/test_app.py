"""What is answered to whom, over HTTP, without a process."""

import asyncio
import gzip
import json
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client import CollectorRegistry

from collector.app import App
from collector.books import Books
from collector.commit import Committer
from collector.http_body import DRAIN_BYTES_MAX
from collector.inflate import zstd
from collector.intake import Intake
from collector.metrics import BooksOnShow, ReceiveMetrics
from collector.receiver import Receiver
from collector.recent import RecentBodies
from collector.records import Kind
from collector.sealed import list_segments, read_segment
from collector.settings import Limits, Sender
from collector.spool import Spool
from collector.tokens import Doorkeeper
from gateway.domain import clock
from tests.collector.emitting import body, keys
from tests.collector.spooled import NOON_MS

KIB = 1024
LIMITS = Limits(
    free_bytes_min=0,
    body_bytes_max=64 * KIB,
    inflated_bytes_max=128 * KIB,
    inflight_bytes_max=3 * KIB * KIB,
    sender_inflight_bytes_max=2 * KIB * KIB,
    json_memory_max=256 * KIB,
    read_timeout_s=0.2,
    retry_after_s=7,
)
TOKEN = "token-of-the-gateway"
HEADERS = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-protobuf"}


class House:
    """An app with a real spool behind it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.why_not_ready: str | None = None
        self.spool = Spool(folder, LIMITS)
        books = self.books = Books()
        registry = CollectorRegistry()
        registry.register(BooksOnShow(books.accounts, self.spool))
        self.committer = Committer(self.spool, books, LIMITS, monotonic=clock.monotonic, now_ms=lambda: NOON_MS)
        self.receiver = Receiver(
            spool=self.spool,
            committer=self.committer,
            recent=RecentBodies(horizon_s=10, bodies_max=10),
            limits=LIMITS,
            now_ms=lambda: NOON_MS,
        )
        metrics = ReceiveMetrics(registry)
        self.intake = Intake(
            doorkeeper=Doorkeeper(
                [
                    Sender(name="gateway", token=TOKEN, may_name_tenants=True),
                    Sender(name="app", token="token-of-an-app", tenant="acme"),
                ]
            ),
            receiver=self.receiver,
            limits=LIMITS,
            metrics=metrics,
            monotonic=clock.monotonic,
        )
        self.app = App(
            intake=self.intake,
            books=books,
            registry=registry,
            metrics=metrics,
            ready=lambda: self.why_not_ready,
        )
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://collector", headers=HEADERS)
        self.committer.start()

    async def post(self, content: bytes, **headers: str) -> httpx.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/v1/traces", content=content, headers=names)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    yield house
    await house.client.aclose()
    house.committer.stop()


def reason(answer: httpx.Response) -> str:
    """The message of the google.rpc.Status that every refusal is."""
    assert answer.headers["content-type"] == "application/x-protobuf"
    return str(Status.FromString(answer.content).message)


async def test_an_acknowledgement_is_an_empty_response_in_protobuf(house: House) -> None:
    answer = await house.post(body(keys(2)))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "zstd", "deflate", "identity", ""])
async def test_a_body_may_be_compressed_or_not(house: House, encoding: str) -> None:
    compress = {"gzip": gzip.compress, "zstd": zstd.compress, "deflate": zlib.compress}.get(encoding.lower(), bytes)
    answer = await house.post(compress(body(keys(2))), content_encoding=encoding)
    assert answer.status_code == 200
    assert house.books.accounts()["gateway"].received == 2


async def test_parameters_of_the_content_type_do_not_matter(house: House) -> None:
    answer = await house.post(body(keys(1)), content_type="application/x-protobuf; charset=binary")
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "says"),
    [
        (b"\xffgarbage", {}, 400, 3, "not an OTLP"),
        (b"not gzip", {"content_encoding": "gzip"}, 400, 3, "not gzip"),
        (b"", {"authorization": ""}, 401, 16, "bearer token"),
        (b"", {"authorization": "Bearer wrong"}, 401, 16, "bearer token"),
        (bytes(64 * KIB + 1), {}, 413, 8, "65537 bytes"),
        (gzip.compress(bytes(128 * KIB + 1)), {"content_encoding": "gzip"}, 413, 8, "inflates"),
        (zstd.compress(bytes(128 * KIB + 1)), {"content_encoding": "zstd"}, 413, 8, "inflates"),
        (b"{}", {"content_type": "text/json"}, 415, 3, "not text/json"),
        (b"", {"content_type": ""}, 415, 3, "no content type"),
        (b"", {"content_encoding": "br"}, 415, 3, "not br"),
    ],
)
async def test_what_cannot_be_taken_is_told_why_in_a_status(
    house: House, content: bytes, headers: dict[str, str], status: int, code: int, says: str
) -> None:
    answer = await house.post(content, **headers)
    assert answer.status_code == status
    assert says in reason(answer)
    assert Status.FromString(answer.content).code == code
    assert house.spool.bytes == 0


def in_json(spans: list[bytes], **fields: object) -> bytes:
    """A request with those spans, in JSON."""
    found = [{"traceId": one[:16].hex(), "spanId": one[16:].hex(), "name": "chat", **fields} for one in spans]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": found}]}]}).encode()


JSON = "application/json"


async def test_json_is_answered_in_json(house: House) -> None:
    answer = await house.post(in_json(keys(3)), content_type="application/json; charset=utf-8")
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, JSON, {})
    assert house.books.accounts()["gateway"].received == 3


async def test_a_span_is_known_again_whichever_way_it_is_written(house: House) -> None:
    sent = keys(1)
    wrapped = gzip.compress(in_json(sent))
    assert (await house.post(wrapped, content_type=JSON, content_encoding="gzip")).status_code == 200
    assert (await house.post(in_json(sent), content_type=JSON)).status_code == 200
    house.committer.stop()
    (path,) = list_segments(house.folder)
    records = list(read_segment(path).records.values())
    assert [(record.kind, record.spans) for record in records] == [(Kind.BODY, 1), (Kind.RESENT, 1)]
    assert records[0].keys == sent[0]


@pytest.mark.parametrize(
    ("content", "headers", "status", "code", "says"),
    [
        (b"{", {}, 400, 3, "not JSON"),
        (in_json([bytes(24)], kind="SPAN_KIND_CLIENT"), {}, 400, 3, "resourceSpans[0].scopeSpans[0].spans[0].kind: "),
        (b"not gzip", {"content_encoding": "gzip"}, 400, 3, "not gzip"),
        (b"", {"authorization": ""}, 401, 16, "bearer token"),
        (b'{"a":[' + b"{}," * 2000 + b"{}]}", {}, 413, 8, "smaller batches"),
        (b"", {"content_encoding": "br"}, 415, 3, "not br"),
    ],
)
async def test_what_cannot_be_taken_in_json_is_told_why_in_json(
    house: House, content: bytes, headers: dict[str, str], status: int, code: int, says: str
) -> None:
    answer = await house.post(content, content_type=JSON, **headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, JSON)
    assert answer.json()["code"] == code
    assert says in answer.json()["message"]


async def test_a_sender_with_too_much_under_way_is_told_so_and_others_are_taken(house: House) -> None:
    with house.intake.inflight.share("gateway") as flood:
        flood.take(2 * KIB * KIB)
        answer = await house.post(body(keys(1)))
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")
        assert "this sender" in reason(answer)
        answer = await house.post(body(keys(1)), authorization="Bearer token-of-an-app")
        assert answer.status_code == 200
    assert (await house.post(body(keys(1)))).status_code == 200


async def test_what_may_come_again_says_when_in_its_status_too(house: House) -> None:
    house.spool._disk_refusal = "the disk cannot be written"
    detail = RetryInfo()
    assert Status.FromString((await house.post(b"")).content).details[0].Unpack(detail)
    assert detail.retry_delay.seconds == 7
    answer = await house.post(b"", content_type=JSON)
    assert answer.json()["details"][0]["retryDelay"] == "7s"


LOGS = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": {"stringValue": "a"}}, {}]}, {"logRecords": [{}]}]}]}
POINTS = {"dataPoints": [{"asInt": "1"}, {"asDouble": 2}]}
METRICS = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": POINTS}, {"sum": POINTS}]}]}]}


@pytest.mark.parametrize(
    ("path", "content", "request_type", "response_type", "count"),
    [
        ("/v1/logs", LOGS, ExportLogsServiceRequest, ExportLogsServiceResponse, 3),
        ("/v1/metrics", METRICS, ExportMetricsServiceRequest, ExportMetricsServiceResponse, 4),
    ],
)
async def test_other_signals_are_a_success_that_says_what_was_rejected_and_why(
    house: House, path: str, content: dict[str, object], request_type: Any, response_type: Any, count: int
) -> None:
    answer = await house.client.post(path, json=content, headers={"content-type": JSON})
    field = {"/v1/logs": "rejectedLogRecords", "/v1/metrics": "rejectedDataPoints"}[path]
    told = answer.json()["partialSuccess"]
    assert (answer.status_code, told[field]) == (200, str(count))
    assert "only traces are kept" in told["errorMessage"]
    serialised = ParseDict(content, request_type()).SerializeToString()
    answer = await house.client.post(path, content=serialised)
    partial = response_type.FromString(answer.content).partial_success
    assert (answer.status_code, getattr(partial, partial.DESCRIPTOR.fields[0].name)) == (200, count)
    assert (await house.client.post(path, content=b"")).content == b""
    assert (await house.client.post(path, content=b"\xff")).status_code == 400
    assert (await house.client.post(path, content=b"", headers={"authorization": ""})).status_code == 401


async def test_a_refusal_never_says_the_token(house: House) -> None:
    answer = await house.post(b"", authorization="Bearer a-secret-of-somebody")
    assert b"secret" not in answer.content
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_body_in_pieces_is_limited_as_it_comes(house: House) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield bytes(KIB)

    answer = await house.client.post("/v1/traces", content=pieces())
    assert answer.status_code == 413


async def test_a_full_spool_asks_to_come_again(house: House) -> None:
    house.spool._disk_refusal = "the disk cannot be written"
    answer = await house.post(body(keys(1)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert "disk" in reason(answer)


async def test_too_many_bytes_in_flight_ask_to_come_again(house: House) -> None:
    house.intake.inflight.take(2 * KIB * KIB, "one")
    house.intake.inflight.take(KIB * KIB - 10, "two")
    answer = await house.post(body(keys(1)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    house.intake.inflight.give_back(2 * KIB * KIB, "one")
    house.intake.inflight.give_back(KIB * KIB - 10, "two")
    assert (await house.post(body(keys(1)))).status_code == 200
    assert house.intake.inflight.bytes == 0


async def test_a_fault_of_ours_is_a_503_and_never_a_500(house: House) -> None:
    del house.receiver._recent
    answer = await house.post(body(keys(1)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")


async def test_a_body_that_does_not_come_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.app.DRAIN_S", 0.1)
    started: list[int] = []

    async def receive() -> dict[str, object]:
        if not started:
            started.append(1)
            return {"type": "http.request", "body": b"a", "more_body": True}
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[dict[str, object]] = []

    async def send(message: object) -> None:
        sent.append(message)  # type: ignore[arg-type]

    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    scope = {"type": "http", "path": "/v1/traces", "method": "POST", "headers": headers}
    await house.app(scope, receive, send)
    assert sent[0]["status"] == 503
    assert (b"connection", b"close") in sent[0]["headers"]  # type: ignore[operator]


async def test_a_refused_body_is_read_to_its_end_where_that_is_not_far(house: House) -> None:
    answer = await house.post(bytes(DRAIN_BYTES_MAX // 2))
    assert answer.status_code == 413
    assert "connection" not in answer.headers
    assert (await house.post(bytes(2 * DRAIN_BYTES_MAX))).headers["connection"] == "close"


async def test_another_path_and_another_method_are_told_where_to_go(house: House) -> None:
    answer = await house.client.get("/v1/trace")
    assert (answer.status_code, "/v1/traces" in reason(answer)) == (404, True)
    answer = await house.client.get("/v1/traces")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_it_is_ready_whatever_the_store_does_and_not_when_a_thread_has_ended(house: House) -> None:
    assert (await house.client.get("/readyz")).status_code == 200
    house.why_not_ready = "a thread has ended"
    assert (await house.client.get("/readyz")).status_code == 503
    assert (await house.client.get("/healthz")).status_code == 200


async def test_the_books_are_open(house: House) -> None:
    await house.post(body(keys(3)))
    account = {"received": 3, "stored": 0, "duplicate": 0, "parked": 0, "pending": 3, "drift": 0}
    assert (await house.client.get("/books")).json() == {"gateway": account}
    text = (await house.client.get("/metrics")).text
    assert 'tollway_collector_spans_total{fate="received",sender="gateway"} 3.0' in text
    assert 'tollway_collector_pending_spans{sender="gateway"} 3.0' in text
    assert 'tollway_collector_requests_total{status="200"} 1.0' in text
    assert 'received_total{compression="none",encoding="protobuf",protocol="http"} 1.0' in text


@pytest.mark.parametrize(
    ("path", "content", "headers", "encoding", "why"),
    [
        ("/v1/traces", b"\xff", {}, "protobuf", "malformed"),
        ("/v1/traces", b"[]", {"content-type": JSON}, "json", "malformed"),
        ("/v1/traces", b"", {"authorization": "Bearer x"}, "protobuf", "unauthenticated"),
        ("/v1/traces", b"", {"content-type": "a/b"}, "unknown", "unsupported"),
        ("/v1/traces", bytes(65 * KIB), {}, "protobuf", "too_large"),
        ("/v1/logs", b"", {}, "protobuf", "logs_not_kept"),
        ("/v1/metrics", b"{}", {"content-type": JSON}, "json", "metrics_not_kept"),
    ],
)
async def test_what_is_not_taken_is_counted_by_its_reason(
    house: House, path: str, content: bytes, headers: dict[str, str], encoding: str, why: str
) -> None:
    await house.client.post(path, content=content, headers=headers)
    text = (await house.client.get("/metrics")).text
    assert f'rejected_total{{encoding="{encoding}",protocol="http",reason="{why}"}} 1.0' in text
