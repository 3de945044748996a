"""What is answered to whom, over HTTP, without a process."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from google.rpc.status_pb2 import Status
from prometheus_client import CollectorRegistry

from collector.app import DRAIN_BYTES_MAX, App
from collector.books import Books
from collector.commit import Committer
from collector.metrics import BooksOnShow
from collector.receiver import Receiver
from collector.recent import RecentBodies
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
    read_timeout_s=0.2,
    retry_after_s=7,
)
TOKEN = "token-of-the-gateway"
HEADERS = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-protobuf"}


class House:
    """An app with a real spool behind it."""

    def __init__(self, folder: Path) -> None:
        self.why_not_ready: str | None = None
        self.spool = Spool(folder, LIMITS)
        books = Books()
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
        self.app = App(
            doorkeeper=Doorkeeper([Sender(name="gateway", token=TOKEN, may_name_tenants=True)]),
            receiver=self.receiver,
            books=books,
            registry=registry,
            limits=LIMITS,
            ready=lambda: self.why_not_ready,
            monotonic=clock.monotonic,
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


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "identity", ""])
async def test_a_body_may_be_zipped_or_not(house: House, encoding: str) -> None:
    content = body(keys(2))
    zipped = gzip.compress(content) if encoding.lower() == "gzip" else content
    assert (await house.post(zipped, content_encoding=encoding)).status_code == 200


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
        (b"{}", {"content_type": "application/json"}, 415, 3, "application/json"),
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
    house.app._inflight.take(3 * KIB * KIB - 10)
    answer = await house.post(body(keys(1)))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    house.app._inflight.give_back(3 * KIB * KIB - 10)
    assert (await house.post(body(keys(1)))).status_code == 200
    assert house.app._inflight.bytes == 0


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


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics"])
async def test_other_signals_are_told_that_only_traces_are_kept(house: House, path: str) -> None:
    answer = await house.client.post(path, content=b"x")
    assert answer.status_code == 404
    assert "only traces" in reason(answer)


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
