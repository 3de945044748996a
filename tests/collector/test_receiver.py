"""From inflated bytes to an acknowledgement, with a real spool and its real thread."""

import asyncio
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.books import Account, Books
from collector.commit import Committer
from collector.otlp import body_digest
from collector.receiver import OFF_LOOP_BYTES, Receiver
from collector.recent import RecentBodies
from collector.records import Kind, SpoolRecord
from collector.refusals import BadRequest, Busy
from collector.sealed import list_segments, read_segment
from collector.settings import Limits, Sender
from collector.spool import Spool
from gateway.domain import clock
from gateway.domain.attributes import SCOPE
from tests.collector.emitting import body, keys
from tests.collector.spooled import NOON_MS

LIMITS = Limits(free_bytes_min=0)
FULL = OSError(28, "No space left on device")
GATEWAY = Sender(name="gateway", token="g", may_name_tenants=True)
APP = Sender(name="app", token="a", tenant="acme")


class Gate(Spool):
    """A spool whose disk is as slow as the test wants, and that notes its groups."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, LIMITS)
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.groups: list[int] = []
        self.failures: deque[OSError] = deque()

    def append(self, records: Sequence[SpoolRecord], *, now: float, now_ms: int) -> None:
        self.entered.set()
        assert self.open.wait(20)
        self.groups.append(len(records))
        if self.failures:
            raise self.failures.popleft()
        super().append(records, now=now, now_ms=now_ms)


@dataclass
class Half:
    """The receiving half of a collector."""

    spool: Gate
    books: Books
    committer: Committer
    receiver: Receiver

    def kept(self) -> list[SpoolRecord]:
        """What is on disk."""
        found: list[SpoolRecord] = []
        for path in list_segments(self.spool._folder):
            content = read_segment(path)
            assert content.damage == ()
            found += content.records.values()
        return found


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Half]:
    spool = Gate(tmp_path)
    books = Books()
    committer = Committer(spool, books, LIMITS, monotonic=clock.monotonic, now_ms=lambda: NOON_MS)
    recent = RecentBodies(horizon_s=10.0, bodies_max=100)
    receiver = Receiver(spool=spool, committer=committer, recent=recent, limits=LIMITS, now_ms=lambda: NOON_MS)
    committer.start()
    yield Half(spool, books, committer, receiver)
    spool.open.set()
    committer.stop()


async def test_what_is_acknowledged_is_on_disk_with_its_sender_and_keys(half: Half) -> None:
    sent = keys(3)
    assert await half.receiver.take_traces(APP, body(sent)) == 3
    (record,) = half.kept()
    assert record == SpoolRecord(
        kind=Kind.BODY,
        sender="app",
        tenant="acme",
        received_ms=NOON_MS,
        digest=body_digest(body(sent), b"".join(sent)),
        spans=3,
        keys=b"".join(sent),
        body=body(sent),
    )
    assert half.books.accounts() == {"app": Account(received=3, pending=3)}


async def test_what_calls_itself_a_gateways_is_one_by_the_gateways_token_alone(half: Half) -> None:
    for sender, scope in ((GATEWAY, SCOPE), (APP, SCOPE), (GATEWAY, "other")):
        await half.receiver.take_traces(sender, body(keys(1), scope=scope))
    assert [(record.sender, record.own) for record in half.kept()] == [
        ("gateway", True),
        ("app", False),
        ("gateway", False),
    ]


async def test_a_body_is_not_acknowledged_before_it_is_on_disk(half: Half) -> None:
    half.spool.open.clear()
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(half.receiver.take_traces(GATEWAY, body(keys(1))))
        done, _ = await asyncio.wait([taking], timeout=0.1)
        assert not done
        half.spool.open.set()
    assert taking.result() == 1


async def test_the_same_body_sent_again_is_acknowledged_and_kept_once(half: Half) -> None:
    sent = body(keys(4))
    assert await half.receiver.take_traces(GATEWAY, sent) == 4
    assert await half.receiver.take_traces(GATEWAY, sent) == 4
    half.committer.stop()
    assert [(record.kind, record.spans) for record in half.kept()] == [(Kind.BODY, 4), (Kind.RESENT, 4)]
    assert half.books.accounts()["gateway"].received == 8


async def test_a_resend_waits_for_the_first_that_is_still_on_its_way(half: Half) -> None:
    sent = body(keys(1))
    half.spool.open.clear()
    async with asyncio.TaskGroup() as group:
        taking = [group.create_task(half.receiver.take_traces(GATEWAY, sent)) for _ in range(5)]
        done, _ = await asyncio.wait(taking, timeout=0.1)
        assert not done
        half.spool.open.set()
    half.committer.stop()
    assert [record.kind for record in half.kept()].count(Kind.BODY) == 1


async def test_where_the_first_fails_a_resend_is_kept_in_its_place(half: Half) -> None:
    sent = body(keys(1))
    half.spool.open.clear()
    half.spool.failures.append(FULL)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(refused(half, sent))
        await asyncio.to_thread(half.spool.entered.wait, 20)
        second = group.create_task(half.receiver.take_traces(GATEWAY, sent))
        await asyncio.wait([second], timeout=0.05)
        half.spool.open.set()
    assert first.done()
    assert second.result() == 1
    half.committer.stop()
    assert [record.kind for record in half.kept()] == [Kind.BODY]


async def refused(half: Half, sent: bytes) -> None:
    with pytest.raises(Busy):
        await half.receiver.take_traces(GATEWAY, sent)


async def test_the_same_bytes_from_another_sender_are_another_body(half: Half) -> None:
    sent = body(keys(1))
    await half.receiver.take_traces(GATEWAY, sent)
    await half.receiver.take_traces(APP, sent)
    assert [record.sender for record in half.kept()] == ["gateway", "app"]


async def test_garbage_is_refused_and_remembered_by_nobody(half: Half) -> None:
    for _ in range(2):
        with pytest.raises(BadRequest):
            await half.receiver.take_traces(GATEWAY, b"\xffgarbage")
    assert half.kept() == []


async def test_an_empty_request_is_fine_and_leaves_nothing(half: Half) -> None:
    assert await half.receiver.take_traces(GATEWAY, b"") == 0
    assert half.kept() == []


async def test_a_disk_that_cannot_be_written_is_busy_and_keeps_nothing(half: Half) -> None:
    half.spool.failures.append(FULL)
    await refused(half, body(keys(1)))
    assert half.books.accounts() == {}


async def test_a_large_body_is_taken_apart_beside_the_loop(half: Half) -> None:
    sent = keys(100)
    large = body(sent, attributes=100)
    assert len(large) > OFF_LOOP_BYTES
    assert await half.receiver.take_traces(GATEWAY, large) == 100


async def test_bodies_that_arrive_together_share_one_sync(half: Half) -> None:
    half.spool.open.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(half.receiver.take_traces(GATEWAY, body(keys(1))))
        await asyncio.to_thread(half.spool.entered.wait, 20)
        waiting = [group.create_task(half.receiver.take_traces(GATEWAY, body(keys(1)))) for _ in range(19)]
        await asyncio.wait(waiting, timeout=0.05)
        half.spool.open.set()
    assert len(half.spool.groups) == 2
    assert sum(half.spool.groups) == 20


async def test_a_group_is_written_at_a_mebibyte(half: Half) -> None:
    large = [body(keys(100), attributes=90) for _ in range(4)]
    assert 2 * len(large[0]) < LIMITS.commit_bytes < 3 * len(large[0])
    half.spool.open.clear()
    async with asyncio.TaskGroup() as group:
        group.create_task(half.receiver.take_traces(GATEWAY, body(keys(1))))
        await asyncio.to_thread(half.spool.entered.wait, 20)
        waiting = [group.create_task(half.receiver.take_traces(GATEWAY, one)) for one in large]
        await asyncio.wait(waiting, timeout=0.2)
        half.spool.open.set()
    assert half.spool.groups == [1, 3, 1]


def remembering(*, bodies_max: int = 2) -> RecentBodies:
    recent = RecentBodies(horizon_s=10.0, bodies_max=bodies_max)
    for number in range(3):
        recent.remember(("gateway", bytes([number])), spans=number + 1, received_ms=number * 1000)
    return recent


@pytest.mark.parametrize(("number", "known"), [(0, None), (1, 2), (2, 3)])
async def test_only_so_many_bodies_are_remembered(number: int, known: int | None) -> None:
    assert await remembering().begin(("gateway", bytes([number]))) == known


async def test_bodies_are_remembered_for_the_horizon() -> None:
    recent = remembering(bodies_max=100)
    recent.remember(("gateway", b"new"), spans=1, received_ms=11_000)
    assert await recent.begin(("gateway", b"\x01")) == 2
    recent.remember(("gateway", b"newer"), spans=1, received_ms=11_001)
    assert await recent.begin(("gateway", b"\x01")) is None


async def test_a_body_that_was_lost_is_new_when_it_comes_again() -> None:
    recent = remembering(bodies_max=9)
    for sender, digest in (("a", b"1"), ("a", b"2"), ("b", b"1")):
        recent.remember((sender, digest), spans=1, received_ms=0)
    await asyncio.to_thread(recent.forget, "a", b"1")
    assert [await recent.begin(key) for key in (("a", b"1"), ("a", b"2"), ("b", b"1"))] == [None, 1, 1]
    await asyncio.to_thread(recent.forget, "b")
    assert await recent.begin(("b", b"1")) is None
    assert await recent.begin(("a", b"2")) == 1
