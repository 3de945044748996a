"""Who owns what vendors keep, for the event loop: a bounded memory in front of the table of owners.

A claim is durable when it is answered: those who claim at the same time share one commit, and one that cannot be
recorded fails alone. Nothing that is not the
asking tenant's own is ever found, whether it is another's or nobody's. Only found rows are remembered: an id forgotten
by another process is found here a while longer, by its owner alone, and the vendor then says that it is gone.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias, TypeVar

from sqlalchemy import Connection

from gateway.control.database import ControlUnavailable, Database
from gateway.errors import GatewayError, OwnersUnavailable, UpstreamFailed
from gateway.flow.tasks import Tasks
from gateway.stored import ledger
from gateway.stored.ledger import Owned, storable
from gateway.stored.naming import Name, Stored

logger = logging.getLogger(__name__)

REMEMBERED_MAX = 16_384
"""Rows kept in memory, about 0.5 KB each."""

PARTS = (Stored.ITEM, Stored.CONTAINER)
"""Their ids come with a response; small servers number them, so that they are nobody's, but the response is whole."""

Result = TypeVar("Result")


Claim: TypeAlias = "tuple[tuple[Owned, ...], asyncio.Future[None]]"
"""What is claimed, and who waits for it."""


class Owners:
    """The owners, as one process knows them."""

    def __init__(self, database: Database, loop: asyncio.AbstractEventLoop, tasks: Tasks) -> None:
        self._database = database
        self._loop = loop
        self._tasks = tasks
        self._known: dict[tuple[str, Stored, str], Owned] = {}
        self._waiting: list[Claim] = []
        self._committing = False
        self.contested = 0
        """Ids that a vendor gave to two tenants."""

    def known(self, tenant: str, name: Name) -> Owned | None:
        """The tenant's own object of that name, if it is in memory."""
        return self._known.get((tenant, name.kind, name.id))

    async def find(self, tenant: str, kind: Stored, id_: str) -> Owned | None:
        """The tenant's own object, whole, or None. Raises OwnersUnavailable."""
        if not storable(id_):
            return None
        found = await self.ask(lambda connection: ledger.find(connection, tenant, kind, [id_]))
        return found.get(id_)

    async def find_all(self, tenant: str, names: Iterable[Name]) -> dict[Name, Owned]:
        """Those of the names that are the tenant's own. Raises OwnersUnavailable."""
        wanted = tuple(names)
        found = {name: row for name in wanted if (row := self.known(tenant, name)) is not None}
        by_kind: dict[Stored, list[str]] = {}
        for name in wanted:
            if name not in found and storable(name.id):
                by_kind.setdefault(name.kind, []).append(name.id)
        if not by_kind:
            return found

        def look(connection: Connection) -> dict[tuple[Stored, str], Owned]:
            rows: dict[tuple[Stored, str], Owned] = {}
            for kind, ids in by_kind.items():
                rows |= {(kind, id_): row for id_, row in ledger.find(connection, tenant, kind, ids).items()}
            return rows

        rows = await self.ask(look)
        for row in rows.values():
            self._remember(row)
        return found | {name: rows[name.kind, name.id] for name in wanted if (name.kind, name.id) in rows}

    def claim(self, rows: Sequence[Owned]) -> asyncio.Future[None]:
        """Done once all of them are durably their tenants'.

        Fails with OwnersUnavailable, and with UpstreamFailed where an id was another tenant's already.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((tuple(rows), done))
        if not self._committing:
            self._committing = True
            self._tasks.spawn(self._commit())
        return done

    async def save(self, row: Owned) -> None:
        """Keep what was learned of it. Raises OwnersUnavailable."""
        await self.ask(lambda connection: ledger.save(connection, row))

    async def forget(self, row: Owned) -> None:
        """It is gone at the vendor. Raises OwnersUnavailable."""
        await self.ask(lambda connection: ledger.forget(connection, row))
        self._known.pop((row.tenant, row.kind, row.id), None)

    async def ask(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` returns, done aside in one transaction. Raises OwnersUnavailable."""
        try:
            return await self._database.aside(work)
        except ControlUnavailable as error:
            logger.error("who owns what cannot be told: %s", error)
            raise OwnersUnavailable(
                "Who owns what cannot be told at present, so nothing stored is served. Retry later.", retry_after_s=5
            ) from None

    async def _commit(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            try:
                await self._commit_together(waiting)
            except Exception:  # noqa: BLE001 - Told by the claim that it is the fault of; it is to keep nobody else.
                for claim in waiting:
                    await self._commit_alone(claim)
        self._committing = False

    async def _commit_together(self, waiting: Sequence[Claim]) -> None:
        """In one transaction. Raises whatever is unexpected; then none of them is recorded."""
        rows = [row for claimed, _ in waiting for row in claimed]
        try:
            contested = set(await self.ask(partial(ledger.claim, rows=rows)))
        except OwnersUnavailable as error:
            for _, done in waiting:
                _fail(done, OwnersUnavailable(error.message, retry_after_s=error.retry_after_s))
            return
        for claimed, done in waiting:
            self._settle(claimed, contested, done)

    async def _commit_alone(self, claim: Claim) -> None:
        claimed, done = claim
        try:
            await self._commit_together([claim])
        except Exception:
            named = ", ".join(f"{row.kind} {row.id} at {row.upstream}" for row in claimed)
            logger.exception("a fault of ours: whose this is could not be recorded: %s", named)
            _fail(done, OwnersUnavailable("Whose this is could not be recorded. Retry later.", retry_after_s=5))

    def _settle(self, claimed: tuple[Owned, ...], contested: set[Owned], done: "asyncio.Future[None]") -> None:
        for row in claimed:
            if row not in contested:
                self._remember(row)
                continue
            self.contested += 1
            logger.error(
                "upstream %s gave the %s id %s to two tenants: it is nobody's now", row.upstream, *row.key[::2]
            )
            for key in [key for key in self._known if key[1:] == (row.kind, row.id)]:
                del self._known[key]
        if done.done():
            return
        if any(row in contested and row.kind not in PARTS for row in claimed):
            done.set_exception(UpstreamFailed("The model's service gave an id that it had given before."))
        else:
            done.set_result(None)

    def _remember(self, row: Owned) -> None:
        self._known.pop((row.tenant, row.kind, row.id), None)
        self._known[row.tenant, row.kind, row.id] = replace(row, object="") if row.object else row
        while len(self._known) > REMEMBERED_MAX:
            del self._known[next(iter(self._known))]


def _fail(done: "asyncio.Future[None]", error: GatewayError) -> None:
    if not done.done():
        done.set_exception(error)
