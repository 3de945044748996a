"""What nobody fetches is told again and again; what vendors keep no more is forgotten."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.control.database import MEMORY, Database
from gateway.domain import clock
from gateway.errors import UpstreamFailed
from gateway.flow.tasks import Tasks
from gateway.stored import owners as owners_module
from gateway.stored.ledger import Owned
from gateway.stored.naming import Name, Stored
from gateway.stored.owners import Owners
from gateway.stored.state import StoredState
from gateway.stored.sweeping import KEPT_DAYS, OVERDUE_S, sweep

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


@pytest.fixture
def database() -> Iterator[Database]:
    made = Database(MEMORY)
    made.open()
    yield made
    made.close()


def owned(kind: Stored, id_: str, **changes: object) -> Owned:
    base = {"upstream": "u0", "tenant": "acme", "provider": "openai", "account": "a", "created_ns": 1}
    return Owned(kind=kind, id=id_, **{**base, **changes})  # type: ignore[arg-type]


def owners_of(database: Database) -> Owners:
    loop = asyncio.get_running_loop()
    return Owners(database, loop, Tasks(loop))


async def test_a_batch_is_told_once_it_is_overdue_and_until_it_is_metered(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    owners = owners_of(database)
    stored, now = StoredState(owners), clock.unix_nanos()
    batch = owned(Stored.BATCH, "batch_1", created_ns=now, done_ns=now - (OVERDUE_S - 1) * SECOND)
    await owners.claim([batch, owned(Stored.BATCH, "batch_2", created_ns=now)])
    await sweep(owners, stored, now)
    assert (caplog.records, stored.unmetered["batch"]) == ([], 1)
    for _ in range(2):
        await sweep(owners, stored, now + 2 * SECOND)
    assert ["batch_1" in record.getMessage() for record in caplog.records] == [True, True]
    await owners.save(owned(Stored.BATCH, "batch_1", metered_ns=now))
    await sweep(owners, stored, now + 2 * SECOND)
    assert (len(caplog.records), stored.unmetered["batch"]) == (2, 0)


async def test_responses_are_forgotten_when_vendors_have_long_done_so_and_files_never(database: Database) -> None:
    owners, now = owners_of(database), 400 * DAY
    for kind, age in ((Stored.RESPONSE, KEPT_DAYS + 1), (Stored.ITEM, KEPT_DAYS + 1), (Stored.RESPONSE, KEPT_DAYS - 1),
                      (Stored.FILE, KEPT_DAYS + 1)):  # fmt: skip
        await owners.claim([owned(kind, f"{kind}-{age}", created_ns=now - age * DAY)])
    await sweep(owners, StoredState(owners), now)
    left = [
        f"{kind}-{age}"
        for kind in (Stored.RESPONSE, Stored.ITEM, Stored.FILE)
        for age in (KEPT_DAYS + 1, KEPT_DAYS - 1)
        if await owners.find("acme", kind, f"{kind}-{age}")
    ]
    assert left == [f"response-{KEPT_DAYS - 1}", f"file-{KEPT_DAYS + 1}"]


async def test_memory_is_bounded_and_what_it_forgot_is_found_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners_module, "REMEMBERED_MAX", 3)
    owners = owners_of(database)
    names = [Name(Stored.RESPONSE, f"resp_{number}", "") for number in range(5)]
    await owners.claim([owned(name.kind, name.id) for name in names])
    assert [owners.known("acme", name) is not None for name in names] == [False, False, True, True, True]
    assert set(await owners.find_all("acme", names)) == set(names)
    assert await owners.find_all("globex", names) == {}


async def test_claims_made_at_once_share_a_commit_and_each_learns_its_own_fate(database: Database) -> None:
    owners = owners_of(database)
    first = owners.claim([owned(Stored.FILE, "file-0")])
    rest = [owners.claim([owned(Stored.FILE, f"file-{number}")]) for number in range(1, 20)]
    theirs = owners.claim([owned(Stored.FILE, "file-1", tenant="globex")])
    results = await asyncio.gather(first, *rest, theirs, return_exceptions=True)
    assert [result for result in results if result is not None] == [results[-1]]
    assert isinstance(results[-1], UpstreamFailed)
    assert await owners.find("acme", Stored.FILE, "file-1") is None
    assert await owners.find("globex", Stored.FILE, "file-1") is None
    assert await owners.find("acme", Stored.FILE, "file-2") is not None


async def test_an_item_that_two_tenants_were_given_is_nobodys_but_the_responses_stand(database: Database) -> None:
    owners = owners_of(database)
    await owners.claim([owned(Stored.RESPONSE, "resp_1"), owned(Stored.ITEM, "msg_0")])
    await owners.claim(
        [owned(Stored.RESPONSE, "resp_2", tenant="globex"), owned(Stored.ITEM, "msg_0", tenant="globex")]
    )
    item = Name(Stored.ITEM, "msg_0", "input")
    assert [await owners.find_all(tenant, [item]) for tenant in ("acme", "globex")] == [{}, {}]
    assert await owners.find("globex", Stored.RESPONSE, "resp_2") is not None
    assert owners.contested == 1
