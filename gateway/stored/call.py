"""One client request on a route of what is stored: whose it is, what it is called, and its one operation record.

A client that hangs up has its work cancelled, and with it the vendor's call. Nothing here is billable: tokens are
metered where results are fetched.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import Request
from starlette.responses import Response

from gateway.config import Tenant, Upstream
from gateway.domain import clock
from gateway.domain.attempt import Operation, Outcome
from gateway.domain.ids import Alias, TenantId, TierName, UpstreamId, new_span_id
from gateway.domain.reasons import Reason
from gateway.errors import BudgetExhausted, BudgetUnavailable, GatewayError, QuotaExhausted, UpstreamFailed
from gateway.flow.content import keeps_callers
from gateway.flow.plane import Plane
from gateway.stored.gate import home, unknown
from gateway.stored.ledger import Owned
from gateway.stored.naming import Stored
from gateway.stored.vendor import VendorRefused
from gateway.wire.arrival import Arrival
from gateway.wire.kinds import Kind

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
BLAMED = {400: Reason.CALLER_ERROR, 429: Reason.RATE_LIMITED, 500: Reason.SERVER_ERROR}


class Call:
    """Made for each request once its key is known."""

    def __init__(self, plane: Plane, request: Request, tenant: Tenant, route: str) -> None:
        self.plane = plane
        self.request = request
        self.tenant = tenant
        self.id: str = request.path_params.get("id", "")
        """The stored object that the path names; "" = none."""
        self.alias = ""
        self.tier = ""
        self.upstream = ""
        self._route = route
        self._began = clock.monotonic()
        self._started_ns = clock.unix_nanos()
        self._arrival = arrival = Arrival(
            tenant, request.headers.raw, dict(request.headers.raw), b"", self._started_ns, Kind.CHAT
        )
        self.trace_id, self._client_span = arrival.trace()
        self.span_id = new_span_id()
        self.request_id = arrival.request_id(self.trace_id, self.span_id)
        self._booked = self._entered = False
        self.vendors = plane.stored.vendors_of(tenant.name)
        self.body_read = asyncio.Event()
        """Set once nothing but a hang-up can come from the client."""

    @property
    def headers(self) -> dict[str, str]:
        """What every answer carries."""
        ids = {"x-request-id": self.request_id, "x-tollway-request-id": self.request_id}
        named = {**ids, "x-tollway-alias": self.alias, "x-tollway-upstream": self.upstream}
        return {name: value for name, value in named.items() if value}

    def enter(self) -> None:
        """Count it among its tenant's. Raises QuotaExhausted."""
        self.plane.stored.enter(self.tenant.name)
        self._entered = True

    async def own(self, kind: Stored, id_: str, param: str | None = None) -> Owned:
        """The tenant's own object. Raises UnknownObject, OwnersUnavailable."""
        row = await self.plane.owners.find(self.tenant.name, kind, id_)
        if row is None:
            raise unknown(kind, id_, param)
        self.alias, self.tier = row.alias, row.tier
        return row

    def place_of(self, row: Owned) -> Upstream:
        """The upstream where it can be had. Raises UpstreamFailed when it is configured no longer."""
        name = home(self.plane.config, row)
        if name is None:
            raise UpstreamFailed("The service that keeps it is not configured any more; ask who runs this gateway.")
        self.upstream = name
        return self.plane.config.upstreams[UpstreamId(name)]

    @asynccontextmanager
    async def ending(self, row: Owned) -> AsyncIterator[None]:
        """While the vendor is asked to delete it: it is forgotten here too, even where the vendor has it no more."""
        try:
            yield
        except VendorRefused as refused:
            if refused.status == 404:
                await self.plane.owners.forget(row)
            raise
        await self.plane.owners.forget(row)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> Response:
        """A whole answer."""
        return Response(body, status, {"content-type": "application/json", **self.headers, **headers})

    def book(self, outcome: Outcome, status: int, reason: Reason | None = None) -> None:
        """Record the request, ended; the first call counts. Never raises."""
        if self._booked:
            return
        self._booked = True
        if self._entered:
            self.plane.stored.leave(self.tenant.name)
        ended_ns = self._started_ns + round((clock.monotonic() - self._began) * 1e9)
        told = keeps_callers(self.plane.config.tiers.get(TierName(self.tier)))
        operation = Operation(
            trace_id=self.trace_id,
            span_id=self.span_id,
            parent_span_id=self._client_span,
            request_id=self.request_id,
            started_at=self._started_ns,
            ended_at=ended_ns,
            tenant=TenantId(self.tenant.name),
            alias=Alias(self.alias),
            tier=TierName(self.tier),
            session=self._arrival.session() if told else "",
            outcome=outcome,
            error_type=reason or "",
            http_status=status,
            attempts=0,
            fallback_depth=0,
            queue_seconds=0.0,
            first_token_seconds=None,
            stream=False,
            user_agent=self._arrival.user_agent() if told else "",
            operation=self._route.split("/")[2],
            route=self._route,
        )
        try:
            self.plane.books.operation(operation)
        except OSError:
            logger.exception("the operation of request %s was not recorded", self.request_id)
        self.plane.stored.requests.add(self.request.method, self._route, outcome)


class ClientGone(Exception):
    """The client hung up while it was still sending."""


class Unfinished(Response):
    """A response that is still to be streamed when its handler returns, and that records its end itself."""


Work = Callable[[Call], Coroutine[Any, Any, Response]]


async def served(call: Call, work: Work) -> Response:
    """The answer of `work`, its operation recorded. Raises GatewayError."""
    try:
        call.enter()
        response = await until_hang_up(call, work(call))
    except GatewayError as error:
        call.plane.metrics.errors.add(error.code)
        reason = Reason.CALLER_ERROR if error.status < 500 else Reason.SERVER_ERROR
        if isinstance(error, QuotaExhausted):
            reason = Reason.QUOTA_EXHAUSTED
        elif isinstance(error, BudgetExhausted | BudgetUnavailable):
            reason = Reason.BUDGET_EXHAUSTED
        call.book(Outcome.REFUSED if error.status < 500 else Outcome.ERROR, error.status, reason)
        raise
    except VendorRefused as refused:
        reason = BLAMED.get(refused.status, BLAMED[500] if refused.status >= 500 else BLAMED[400])
        call.book(Outcome.ERROR, refused.status, reason)
        return call.answer(refused.status, dict(refused.headers), refused.body)
    except asyncio.CancelledError:
        call.book(Outcome.CANCELLED, 0, Reason.GATEWAY_SHUTDOWN)
        raise
    except Exception:
        call.book(Outcome.ERROR, 500, Reason.SERVER_ERROR)
        raise
    if response is None:
        call.book(Outcome.CANCELLED, 0, Reason.CLIENT_CANCELLED)
        return Response(status_code=499)  # Nobody reads it.
    if not isinstance(response, Unfinished):
        call.book(Outcome.OK, response.status_code)
    return response


async def until_hang_up(call: Call, work: Coroutine[Any, Any, Result]) -> Result | None:
    """What `work` returns, or None once the client has hung up, which cancels it."""

    async def run() -> Result | Exception | None:
        try:
            return await work
        except ClientGone:
            return None
        except Exception as error:  # noqa: BLE001 - Raised again below: a task group would raise it in a group.
            return error

    async def watch() -> None:
        await call.body_read.wait()
        while (await call.request.receive())["type"] != "http.disconnect":
            continue
        running.cancel()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(run())
        watching = group.create_task(watch())
        running.add_done_callback(lambda _: watching.cancel())
    if running.cancelled():
        return None
    result = running.result()
    if isinstance(result, Exception):
        raise result
    return result
