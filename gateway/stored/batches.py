"""Batches: made of a file of the tenant's own, at that file's upstream, and watched until their results are fetched."""

import logging
from dataclasses import replace

import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gateway.catalogue import Route
from gateway.config import Upstream
from gateway.domain import clock
from gateway.errors import BodyTooLarge, InvalidRequest, StoredElsewhere
from gateway.stored import ledger
from gateway.stored.affording import admit
from gateway.stored.call import Call, ClientGone
from gateway.stored.gate import where
from gateway.stored.ledger import Owned, storable
from gateway.stored.looking import looked_at
from gateway.stored.naming import Name, Named, Stored, named_in
from gateway.stored.paging import asked, listed
from gateway.stored.placing import FOR_BATCHES, serves
from gateway.stored.uploading import BATCH, id_of
from gateway.stored.vendor import Answer, VendorRefused
from gateway.wire.body import object_in

logger = logging.getLogger(__name__)

LIMIT, LIMIT_MAX = 20, 100
BODY_MAX = 1_048_576
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})
RESULTS = ("output_file_id", "error_file_id")
ELSEWHERE = ("input_blob", "output_folder")
"""Azure's: requests from a place that nobody checked, and results to one where nobody meters them."""


async def create(call: Call) -> Response:
    """POST /v1/batches."""
    body = await _body(call)
    fields = object_in(body)
    named = fields.get("input_file_id")
    if not isinstance(named, str) or not named:
        raise InvalidRequest("Name the file of requests: `input_file_id` must be a text.", param="input_file_id")
    for name in ELSEWHERE:
        if fields.get(name) is not None:
            raise InvalidRequest(f"`{name}` is not taken: a batch is made of an uploaded file.", param=name)
    source = await call.own(Stored.FILE, named, "input_file_id")
    if source.purpose != BATCH or not source.model:
        raise InvalidRequest("That file is not one of requests: upload it with `purpose` batch.", param="input_file_id")
    upstream = call.place_of(source)
    route = _checked_route(call, source.alias, upstream)
    await _check_names(call, named_in(body, fields), upstream.name)
    await admit(call.plane, call.tenant, route, source, fields.get("endpoint"))
    answer = await call.vendors.whole(
        upstream, "POST", ("batches",), headers={"content-type": "application/json"}, content=orjson.dumps(fields)
    )
    row = replace(
        source,
        kind=Stored.BATCH,
        upstream=upstream.name,
        id=id_of(answer),
        created_ns=clock.unix_nanos(),
        purpose="",
        parent=source.id,
        trace_id=call.trace_id,
        span_id=call.span_id,
        object=answer.body.decode("utf-8", "replace"),
        expires_s=None,
        metered_ns=None,
    )
    await call.plane.owners.claim([row])
    await note(call, row, answer)
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def retrieve(call: Call) -> Response:
    """GET /v1/batches/{id}."""
    row = await call.own(Stored.BATCH, call.id)
    answer = await call.vendors.whole(call.place_of(row), "GET", ("batches", row.id))
    await note(call, row, answer)
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def cancel(call: Call) -> Response:
    """POST /v1/batches/{id}/cancel."""
    row = await call.own(Stored.BATCH, call.id)
    call.body_read.set()
    answer = await call.vendors.whole(call.place_of(row), "POST", ("batches", row.id, "cancel"))
    await note(call, row, answer)
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def listing(call: Call) -> Response:
    """GET /v1/batches: the tenant's own, newest first; those that still run are asked after."""
    want = asked(call.request.query_params, limit=LIMIT, limit_max=LIMIT_MAX)
    after = await call.own(Stored.BATCH, want.after, "after") if want.after else None
    call.alias = call.tier = ""
    rows = await call.plane.owners.ask(
        lambda connection: ledger.page(
            connection, call.tenant.name, Stored.BATCH, after=after, limit=want.limit + 1, newest_first=True,
            purpose="", now_s=0,
        )
    )  # fmt: skip
    shown = await _asked_after(call, rows[: want.limit])
    body = listed([(row.id, row.object.encode()) for row in shown], has_more=len(rows) > want.limit)
    return call.answer(200, {}, body)


async def note(call: Call, row: Owned, answer: Answer) -> None:
    """What the vendor says of a batch: its results become its tenant's before the tenant learns of them, and that it
    has ended is told. Raises GatewayError."""
    plane, fields = call.plane, answer.fields
    results = {name: id_ for name in RESULTS if isinstance(id_ := fields.get(name), str) and storable(id_)}
    new = [
        _result(row, id_)
        for id_ in results.values()
        if plane.owners.known(row.tenant, Name(Stored.FILE, id_, "")) is None
    ]
    if new:
        await plane.owners.claim(new)
    ended = fields.get("status") in ENDED
    now = clock.unix_nanos()
    learned = replace(row, object=answer.body.decode("utf-8", "replace"), done_ns=now if ended else None)
    if ended and row.done_ns is None:
        if "output_file_id" in results:
            logger.info("batch %s has ended; its usage is metered when its results are fetched", row.id)
        else:
            learned = replace(learned, metered_ns=now)  # Nothing was answered, so nothing was used.
    await plane.owners.save(learned)
    if ended and row.done_ns is None:
        await plane.stored.recount()


def _result(batch: Owned, id_: str) -> Owned:
    """The row of a file with results."""
    return replace(
        batch, kind=Stored.FILE, id=id_, purpose="batch_output", parent=batch.id, object="", done_ns=None,
        created_ns=clock.unix_nanos(),
    )  # fmt: skip


async def _asked_after(call: Call, rows: list[Owned]) -> list[Owned]:
    async def one(row: Owned) -> Owned:
        if row.done_ns is not None:
            return row
        try:
            answer = await call.vendors.whole(call.place_of(row), "GET", ("batches", row.id))
        except VendorRefused:
            return row  # As last seen.
        await note(call, row, answer)
        return replace(row, object=answer.body.decode("utf-8", "replace"))

    return await looked_at(call, rows, one)


def _checked_route(call: Call, alias: str, upstream: Upstream) -> Route:
    """The alias may still be asked for, and may run there. Raises UnknownModel, NotAllowed, InvalidRequest."""
    route = call.plane.catalogue.find(call.tenant, alias, None)
    if not serves(upstream, route, call.tenant.name, FOR_BATCHES):
        message = f"No batches of the model {alias!r} are taken where that file is; upload it again."
        raise InvalidRequest(message, param="input_file_id")
    return route


async def _check_names(call: Call, named: Named, upstream: str) -> None:
    """All that the body names is the tenant's, and there. Raises UnknownObject, StoredElsewhere."""
    found = await call.plane.owners.find_all(call.tenant.name, named.names)
    if upstream not in where(call.plane.config, call.tenant.name, named.names, found):
        raise StoredElsewhere("What this batch names is not kept where its file is.")


async def _body(call: Call) -> bytes:
    """The request's body. Raises BodyTooLarge, ClientGone."""
    body = bytearray()
    try:
        async for chunk in call.request.stream():
            body += chunk
            if len(body) > BODY_MAX:
                raise BodyTooLarge(f"The body is longer than {BODY_MAX} bytes.")
    except ClientDisconnect:
        raise ClientGone from None
    call.body_read.set()
    return bytes(body)
