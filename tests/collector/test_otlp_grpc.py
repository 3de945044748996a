"""What is answered to whom over gRPC, on a real socket, with a real spool behind it."""

import asyncio
import gzip
import logging
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc import aio
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from prometheus_client import CollectorRegistry

from collector.books import Books
from collector.commit import Committer
from collector.inflate import zstd
from collector.intake import Intake
from collector.metrics import ReceiveMetrics
from collector.otlp_grpc import GrpcServer, compression
from collector.receiver import Receiver
from collector.recent import RecentBodies
from collector.sealed import list_segments, read_segment
from collector.settings import CannotStart, Limits, Sender
from collector.signals import LOGS, TRACES
from collector.spool import Spool
from collector.tokens import Doorkeeper
from gateway.domain import clock
from tests.collector.emitting import body, keys
from tests.collector.spooled import NOON_MS
from tests.gateway.serving import until

KIB = 1024
TOKEN = "token-of-the-gateway"
AUTHORISED = (("authorization", f"Bearer {TOKEN}"),)
LIMITS = Limits(
    free_bytes_min=0,
    body_bytes_max=64 * KIB,
    inflated_bytes_max=128 * KIB,
    inflight_bytes_max=3 * KIB * KIB,
    read_timeout_s=0.3,
    retry_after_s=7,
    grpc_reads_max=1,
    grpc_waiting_max=1,
)


class House:
    """A gRPC server with a real spool behind it, and a channel to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spool = Spool(folder, LIMITS)
        self.books = Books()
        self.registry = CollectorRegistry()
        self.committer = Committer(self.spool, self.books, LIMITS, monotonic=clock.monotonic, now_ms=lambda: NOON_MS)
        self.receiver = Receiver(
            spool=self.spool,
            committer=self.committer,
            recent=RecentBodies(horizon_s=10, bodies_max=10),
            limits=LIMITS,
            now_ms=lambda: NOON_MS,
        )
        self.intake = Intake(
            doorkeeper=Doorkeeper([Sender(name="gateway", token=TOKEN, may_name_tenants=True)]),
            receiver=self.receiver,
            limits=LIMITS,
            metrics=ReceiveMetrics(self.registry),
            monotonic=clock.monotonic,
        )
        self.server = GrpcServer(self.intake, host="127.0.0.1", port=0, tls=None)
        self.channel = aio.insecure_channel(f"127.0.0.1:{self.server.port}")
        self.leave = asyncio.Event()
        self.committer.start()

    async def export(
        self, content: bytes, *, signal: Any = TRACES, metadata: Any = AUTHORISED, **options: Any
    ) -> bytes:
        call = self.channel.unary_unary(f"/{signal.service}/Export")
        return bytes(await call(content, metadata=metadata, timeout=10, **options))

    async def refused(self, content: bytes, **options: Any) -> aio.AioRpcError:
        with pytest.raises(aio.AioRpcError) as caught:
            await self.export(content, **options)
        return caught.value

    def kept(self) -> list[bytes]:
        """The bodies on disk."""
        return [r.body for path in list_segments(self.folder) for r in read_segment(path).records.values()]

    def rejected(self, why: str) -> float:
        labels = {"protocol": "grpc", "encoding": "protobuf", "reason": why}
        return self.registry.get_sample_value("tollway_collector_rejected_total", labels) or 0.0


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path)
    async with asyncio.TaskGroup() as group:
        group.create_task(house.server.serve(house.leave))
        yield house
        await house.channel.close()
        house.leave.set()
    house.committer.stop()


def status(error: aio.AioRpcError) -> Any:
    """The google.rpc.Status that every refusal carries."""
    return Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])


async def test_an_acknowledgement_is_an_empty_response_and_the_bytes_are_kept_as_they_came(house: House) -> None:
    sent = body(keys(2))
    assert await house.export(sent) == b""
    assert house.kept() == [sent]
    assert house.books.accounts()["gateway"].received == 2


async def test_an_empty_request_is_fine(house: House) -> None:
    assert await house.export(b"") == b""


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_compressed_message_is_kept_inflated(house: House, algorithm: grpc.Compression) -> None:
    sent = body(keys(50))
    await house.export(sent, compression=algorithm)
    assert house.kept() == [sent]


@pytest.mark.parametrize(
    ("name", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress), ("deflate", zlib.compress)]
)
def test_a_compressed_message_is_known_by_its_first_bytes(name: str, compress: Any) -> None:
    for content in (b"", b"a", body(keys(3)), bytes(100_000)):
        assert compression(compress(content)) == name
        assert compression(content) == ""


@pytest.mark.parametrize(
    ("content", "options", "code", "says"),
    [
        (b"\xffgarbage", {}, grpc.StatusCode.INVALID_ARGUMENT, "not an OTLP"),
        (b"\x1f\x8b not gzip", {}, grpc.StatusCode.INVALID_ARGUMENT, "not gzip"),
        (b"", {"metadata": ()}, grpc.StatusCode.UNAUTHENTICATED, "bearer token"),
        (b"", {"metadata": (("authorization", "Bearer wrong"),)}, grpc.StatusCode.UNAUTHENTICATED, "bearer token"),
        (gzip.compress(bytes(128 * KIB + 1)), {}, grpc.StatusCode.RESOURCE_EXHAUSTED, "inflates to more"),
        (zstd.compress(bytes(128 * KIB + 1)), {}, grpc.StatusCode.RESOURCE_EXHAUSTED, "inflates to more"),
    ],
)
async def test_what_cannot_be_taken_is_told_why_and_not_asked_for_again(
    house: House, content: bytes, options: dict[str, Any], code: grpc.StatusCode, says: str
) -> None:
    error = await house.refused(content, **options)
    assert error.code() is code
    assert says in (error.details() or "")
    assert (status(error).code, status(error).message) == (code.value[0], error.details())
    assert len(status(error).details) == 0
    assert house.kept() == []


async def test_a_message_above_the_limit_is_refused_by_its_announced_length(house: House) -> None:
    error = await house.refused(bytes(64 * KIB + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata())
    assert await house.export(body(keys(1))) == b""


@pytest.mark.parametrize("full", ["disk", "memory", "sender"])
async def test_what_may_come_again_says_when(house: House, full: str) -> None:
    if full == "disk":
        house.spool._disk_refusal = "the disk cannot be written"
    elif full == "memory":
        house.intake.inflight.take(3 * KIB * KIB, "another")
    else:
        house.intake.inflight._sender_bytes_max = 10
    error = await house.refused(body(keys(1)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    detail = RetryInfo()
    assert status(error).details[0].Unpack(detail)
    assert detail.retry_delay.seconds == 7
    assert RetryInfo.FromString(dict(error.trailing_metadata())["google.rpc.retryinfo-bin"]) == detail
    assert house.rejected({"disk": "busy", "memory": "busy", "sender": "too_many"}[full]) == 1


async def test_a_fault_of_ours_is_unavailable_and_its_words_stay_here(house: House) -> None:
    del house.receiver._recent
    error = await house.refused(body(keys(1)))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "the collector failed; send it again"


async def test_a_message_that_does_not_come_is_not_waited_for_and_a_stranger_is_told_at_once(house: House) -> None:
    call = house.channel.stream_unary(f"/{TRACES.service}/Export")(metadata=AUTHORISED)
    with pytest.raises(aio.AioRpcError, match="not whole"):
        await call
    stranger = house.channel.stream_unary(f"/{TRACES.service}/Export")()
    with pytest.raises(aio.AioRpcError) as caught:
        await stranger
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_beyond_those_being_read_and_those_waiting_for_it_nobody_is_let_in(house: House) -> None:
    silent = [house.channel.stream_unary(f"/{TRACES.service}/Export")(metadata=AUTHORISED) for _ in range(5)]
    answers = await asyncio.gather(*silent, return_exceptions=True)
    words = [str(answer.details()) for answer in answers if isinstance(answer, aio.AioRpcError)]
    assert sum("too many requests wait" in said for said in words) == 3
    assert sum("not whole" in said for said in words) == 2
    assert await house.export(body(keys(1))) == b""


async def test_a_sender_that_hangs_up_leaves_nothing_counted_and_no_trace_in_the_log(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        call = house.channel.stream_unary(f"/{TRACES.service}/Export")(metadata=AUTHORISED)
        await call.write(body(keys(1)))
        call.cancel()
        silent = house.channel.stream_unary(f"/{TRACES.service}/Export")(metadata=AUTHORISED)
        await silent.wait_for_connection()
        silent.cancel()
        await until(lambda: house.intake.inflight.bytes == 0)
        assert await house.export(body(keys(1))) == b""
    assert caplog.records == []


async def test_logs_are_a_success_that_says_what_was_rejected_and_why(house: House) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add()
    answer = await house.export(request.SerializeToString(), signal=LOGS)
    partial = ExportLogsServiceResponse.FromString(answer).partial_success
    assert partial.rejected_log_records == 1
    assert "only traces" in partial.error_message


async def test_another_service_is_not_implemented(house: House) -> None:
    with pytest.raises(aio.AioRpcError) as caught:
        await house.channel.unary_unary("/some.Service/Export")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_address_that_is_taken_is_told_at_the_start(house: House) -> None:
    with pytest.raises(CannotStart, match=r"set collector\.otlp_grpc"):
        GrpcServer(house.intake, host="127.0.0.1", port=house.server.port, tls=None)
