"""Stored responses: read again, listened to again, cancelled, deleted; by their owner alone.

A response was metered when it was created. One that was left to run in the background is metered when its end is first
seen here, once.
"""

import logging

from starlette.responses import Response

from gateway.errors import JournalUnavailable
from gateway.stored.call import Call
from gateway.stored.ledger import Owned
from gateway.stored.metering import ENDED, EventMeter, meter_response
from gateway.stored.naming import Stored
from gateway.stored.streaming import stream
from gateway.stored.vendor import Answer

logger = logging.getLogger(__name__)

PATH = "responses"


async def retrieve(call: Call) -> Response:
    """GET /v1/responses/{id}, streamed if the query says so."""
    row = await call.own(Stored.RESPONSE, call.id)
    upstream, query = call.place_of(row), call.request.url.query
    if call.request.query_params.get("stream", "").lower() in ("true", "1"):
        meter = EventMeter(call.plane, row) if row.metered_ns is None else None
        return await stream(call, upstream, (PATH, row.id), query, meter)
    return await _passed(call, row, await call.vendors.whole(upstream, "GET", (PATH, row.id), query=query))


async def cancel(call: Call) -> Response:
    """POST /v1/responses/{id}/cancel."""
    row = await call.own(Stored.RESPONSE, call.id)
    call.body_read.set()
    return await _passed(call, row, await call.vendors.whole(call.place_of(row), "POST", (PATH, row.id, "cancel")))


async def input_items(call: Call) -> Response:
    """GET /v1/responses/{id}/input_items."""
    row = await call.own(Stored.RESPONSE, call.id)
    answer = await call.vendors.whole(
        call.place_of(row), "GET", (PATH, row.id, "input_items"), query=call.request.url.query
    )
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def delete(call: Call) -> Response:
    """DELETE /v1/responses/{id}; one that ran in the background is looked at once more before."""
    row = await call.own(Stored.RESPONSE, call.id)
    upstream, vendors = call.place_of(row), call.vendors
    async with call.ending(row):
        if row.metered_ns is None:
            await _metered(call, row, await vendors.whole(upstream, "GET", (PATH, row.id)))
        answer = await vendors.whole(upstream, "DELETE", (PATH, row.id))
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def _passed(call: Call, row: Owned, answer: Answer) -> Response:
    await _metered(call, row, answer)
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def _metered(call: Call, row: Owned, answer: Answer) -> None:
    """Raises JournalUnavailable, OwnersUnavailable: what cannot be billed for is not handed out."""
    if row.metered_ns is not None or answer.fields.get("status") not in ENDED:
        return
    try:
        await meter_response(call.plane, row, answer.fields)
    except OSError:
        logger.exception("response %s was not metered", row.id)
        raise JournalUnavailable("What it used cannot be recorded at present. Retry later.", retry_after_s=5) from None
