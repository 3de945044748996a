"""The query layer: what pages may ask, who is asking applied to every question, and the store's errors in our words.

    Unanswered ............ something is in the way, and the message says what to do
      StoreDown ........... no store at that address, or it stopped answering
      StoreRefused ........ the store answered, and declined: a password, a missing table, a fault in a query
      NotBegun ............ a month in the future was asked for
      BooksBroken ......... the figures contradict themselves; nothing of such a month may be shown

No page reaches analytics past this file, so a principal's tenants cannot be forgotten. The client is made on the
running loop at the first question and kept; a store that comes back is found again without a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeVar

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from analytics import spend
from analytics.reconciliation import Reconciliation, areconcile_month
from analytics.reconciliation.policy import FOCUS, Policy
from analytics.windows import MonthInvalid, Window
from dashboards import access
from dashboards.filters import Filters
from sql.statements import afetch

ANSWER_SECONDS_MAX = 30.0

T = TypeVar("T")


class Unanswered(Exception):
    """A question that got no answer; `kind` is a short word for the counters."""

    kind = "unanswered"


class StoreDown(Unanswered):
    """Nothing answers at the store's address."""

    kind = "store_down"


class StoreRefused(Unanswered):
    """The store answered with an error."""

    kind = "store_refused"


class NotBegun(Unanswered):
    """The month has not begun, so there is nothing to reconcile."""

    kind = "not_begun"


class BooksBroken(Unanswered):
    """The parts of a reconciliation do not sum to the whole."""

    kind = "books_broken"


class Books(Protocol):
    """What pages ask. Each may raise Unanswered or access.NoAccess."""

    async def kpis(self, window: Window, filters: Filters) -> spend.Kpis:
        """Figures of the window and of the one before it."""

    async def by_day_depth(self, window: Window, filters: Filters) -> pl.DataFrame:
        """As analytics.spend.by_day_depth."""

    async def by_alias_tenant(self, window: Window, filters: Filters) -> pl.DataFrame:
        """As analytics.spend.by_alias_tenant."""

    async def choices(self, window: Window) -> spend.Choices:
        """What the filters can offer; the tenants only those that the principal may see."""

    async def month(self, month: str, now: datetime) -> Reconciliation:
        """The reconciliation of a month such as `2026-11`."""

    async def newest(self) -> datetime | None:
        """When the newest span landed; None when nothing has landed at all."""

    async def ready(self) -> None:
        """Return if the store answers."""


class StoreBooks:
    """Books kept in ClickHouse. `connect` makes a client on the loop that is running."""

    def __init__(self, connect: Callable[[], Awaitable[AsyncClient]], policy: Policy = FOCUS) -> None:
        self._policy = policy
        self._connect = connect
        self._client: AsyncClient | None = None
        self._connecting = asyncio.Lock()

    async def kpis(self, window: Window, filters: Filters) -> spend.Kpis:
        return await self._ask(lambda client: spend.akpis(client, window, _seen(filters)))

    async def by_day_depth(self, window: Window, filters: Filters) -> pl.DataFrame:
        return await self._ask(lambda client: spend.aby_day_depth(client, window, _seen(filters)))

    async def by_alias_tenant(self, window: Window, filters: Filters) -> pl.DataFrame:
        return await self._ask(lambda client: spend.aby_alias_tenant(client, window, _seen(filters)))

    async def choices(self, window: Window) -> spend.Choices:
        found = await self._ask(lambda client: spend.achoices(client, window))
        seen = access.tenants_seen(access.current(), ())
        tenants = tuple(tenant for tenant in found.tenants if not seen or tenant in seen)
        return spend.Choices(tenants, found.aliases, found.providers, found.accounts)

    async def month(self, month: str, now: datetime) -> Reconciliation:
        if access.tenants_seen(access.current(), ()):
            raise access.NoAccess("An invoice is not split by tenant, so only finance may see its reconciliation.")
        return await self._ask(lambda client: areconcile_month(client, month, now=now, policy=self._policy))

    async def newest(self) -> datetime | None:
        landed = await self._ask(lambda client: afetch(client, "deploy_landed"))
        spans, last = landed.row(0)
        return last if spans else None

    async def ready(self) -> None:
        if not await self._ask(lambda client: client.ping()):
            raise StoreDown("the store does not answer a ping")

    async def close(self) -> None:
        """Give the connections back; a later question opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _ask(self, question: Callable[[AsyncClient], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await question(await self._connected())
        except TimeoutError as error:
            raise StoreDown(f"no answer within {ANSWER_SECONDS_MAX:.0f} s") from error
        except (OperationalError, OSError) as error:
            await self.close()  # The next question may find another server.
            raise StoreDown(_first_line(error)) from error
        except ClickHouseError as error:
            raise StoreRefused(_first_line(error)) from error
        except MonthInvalid as error:
            raise NotBegun(str(error)) from error
        except ArithmeticError as error:
            raise BooksBroken(_first_line(error)) from error

    async def _connected(self) -> AsyncClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
        return self._client


def _seen(filters: Filters) -> spend.Filters:
    tenants = access.tenants_seen(access.current(), filters.tenant)
    return spend.Filters(tenants=tenants, aliases=filters.alias, providers=filters.provider, accounts=filters.account)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
