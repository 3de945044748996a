"""Files, but for their upload: a tenant's own list, one of them, its content, its end."""

import logging
from dataclasses import replace

from starlette.responses import Response

from gateway.domain import clock
from gateway.errors import JournalUnavailable
from gateway.stored import ledger
from gateway.stored.call import Call
from gateway.stored.ledger import Owned
from gateway.stored.looking import looked_at
from gateway.stored.metering import meter_of
from gateway.stored.naming import Stored
from gateway.stored.paging import asked, listed
from gateway.stored.streaming import stream
from gateway.stored.vendor import Answer, VendorRefused

logger = logging.getLogger(__name__)

LIMIT = 10_000


async def retrieve(call: Call) -> Response:
    """GET /v1/files/{id}."""
    row = await call.own(Stored.FILE, call.id)
    answer = await look(call, row)
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def listing(call: Call) -> Response:
    """GET /v1/files: of the tenant's own alone, whatever else the account keeps."""
    want = asked(call.request.query_params, limit=LIMIT, limit_max=LIMIT)
    after = await call.own(Stored.FILE, want.after, "after") if want.after else None
    call.alias = call.tier = ""
    now_s = int(clock.utc_now().timestamp())
    rows = await call.plane.owners.ask(
        lambda connection: ledger.page(
            connection, call.tenant.name, Stored.FILE, after=after, limit=want.limit + 1,
            newest_first=want.newest_first, purpose=want.purpose, now_s=now_s,
        )
    )  # fmt: skip
    shown = await seen(call, rows[: want.limit])
    body = listed([(row.id, row.object.encode()) for row in shown], has_more=len(rows) > want.limit)
    return call.answer(200, {}, body)


async def delete(call: Call) -> Response:
    """DELETE /v1/files/{id}; results whose usage is not on the books yet are metered first."""
    row = await call.own(Stored.FILE, call.id)
    upstream = call.place_of(row)
    await meter_unread(call, row)
    async with call.ending(row):
        answer = await call.vendors.whole(upstream, "DELETE", ("files", row.id))
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def content(call: Call) -> Response:
    """GET /v1/files/{id}/content; of a batch's results, the usage is metered as they pass."""
    row = await call.own(Stored.FILE, call.id)
    upstream = call.place_of(row)
    return await stream(call, upstream, ("files", row.id, "content"), "", meter_of(call.plane, row))


async def look(call: Call, row: Owned) -> Answer:
    """The vendor's own word on a file, remembered. Raises GatewayError, VendorRefused."""
    answer = await call.vendors.whole(call.place_of(row), "GET", ("files", row.id))
    expires, purpose = answer.fields.get("expires_at"), answer.fields.get("purpose")
    learned = replace(
        row,
        object=answer.body.decode("utf-8", "replace"),
        expires_s=expires if isinstance(expires, int) else None,
        purpose=purpose[:64] if isinstance(purpose, str) else row.purpose,
    )
    if learned != row:
        await call.plane.owners.save(learned)
    return answer


async def seen(call: Call, rows: list[Owned]) -> list[Owned]:
    """The same, each with the vendor's JSON of it; those that are gone there are left out. Raises GatewayError."""

    async def one(row: Owned) -> Owned | None:
        try:
            return row if row.object else replace(row, object=(await look(call, row)).body.decode("utf-8", "replace"))
        except VendorRefused:
            return None

    return await looked_at(call, rows, one)


async def meter_unread(call: Call, row: Owned) -> None:
    """Put on the books what nobody fetched, before it is gone. Raises GatewayError."""
    meter = meter_of(call.plane, row)
    if meter is None:
        return
    try:
        where = call.place_of(row)
        async with call.vendors.call(where, "GET", ("files", row.id, "content")) as response:
            if response.status_code >= 300:
                logger.error("the results %s cannot be fetched any more, so they are not metered", row.id)
                return
            async for piece in response.aiter_raw():
                meter.feed(piece)
            meter.end()
    except OSError:
        logger.exception("the results %s were not metered, so they are not deleted", row.id)
        raise JournalUnavailable("What it used cannot be recorded at present. Retry later.", retry_after_s=5) from None
    finally:
        await meter.close()
