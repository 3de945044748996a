"""Claims: those made at the same time share a commit, and none stands in another's way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.control.database import MEMORY, Database
from gateway.errors import OwnersUnavailable
from gateway.flow.tasks import Tasks
from gateway.stored.ledger import Owned
from gateway.stored.naming import Stored
from gateway.stored.owners import Owners

BEYOND = 2**64 - 1
"""More than the database has room for: a vendor's `expires_at`, for one."""


def row(id_: str, **changes: int) -> Owned:
    return Owned(
        kind=Stored.FILE, upstream="u0", id=id_, tenant="acme", provider="openai", account="a", created_ns=1, **changes
    )


@pytest.fixture
async def owners() -> AsyncIterator[Owners]:
    database, loop = Database(MEMORY), asyncio.get_running_loop()
    database.open()
    yield Owners(database, loop, Tasks(loop))
    database.close()


async def test_a_claim_that_cannot_be_recorded_fails_alone_and_those_beside_and_behind_it_go_on(
    owners: Owners, caplog: pytest.LogCaptureFixture
) -> None:
    beside = [owners.claim([row("file-1")]), owners.claim([row("file-2", expires_s=BEYOND)])]
    good, bad = await asyncio.wait_for(asyncio.gather(*beside, return_exceptions=True), 5)
    await asyncio.wait_for(owners.claim([row("file-3")]), 5)
    assert (good, type(bad)) == (None, OwnersUnavailable)
    assert "could not be recorded" in str(bad)
    assert "file file-2 at u0" in caplog.text
    found = [await owners.find("acme", Stored.FILE, f"file-{n}") is not None for n in (1, 2, 3)]
    assert found == [True, False, True]
