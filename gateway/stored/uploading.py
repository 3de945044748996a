"""POST /v1/files: a file on its way through, in bounded memory.

Where the form names its purpose before the file, the file streams through; where it does so after, the file waits on
disk for it. A batch's lines are made fit for the upstream that takes them (lines.py); any other file passes byte for
byte. The answer reaches the client once the file is durably its tenant's.
"""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from typing import IO

from starlette.requests import ClientDisconnect
from starlette.responses import Response

from gateway.catalogue import Route
from gateway.config import Surface
from gateway.domain import clock
from gateway.domain.ids import UpstreamId
from gateway.errors import BodyTooLarge, CallerError, GatewayError, InvalidRequest, UpstreamFailed
from gateway.ladder.ladder import Rung
from gateway.stored.call import Call, ClientGone
from gateway.stored.form import FIELD_BYTES_MAX, Event, FormWriter, PartBegins, PartEnds, events
from gateway.stored.gate import where
from gateway.stored.ledger import Owned, storable
from gateway.stored.lines import Cutter, LineTooLong, at_line, fault, read_line
from gateway.stored.naming import Stored, mentions, named_in
from gateway.stored.placing import FOR_BATCHES, FOR_FILES, HEADER, only_place, place_for_alias
from gateway.stored.vendor import CANNOT_READ, Answer, VendorRefused
from gateway.wire.kinds import Kind

logger = logging.getLogger(__name__)

FORM_BYTES = 2_097_152
"""What a form may have beside its file."""
SPOOL_PIECE = 262_144
BATCH = "batch"

Fields = list[tuple[PartBegins, bytes]]


async def create(call: Call) -> Response:
    """Take the file in the request's form. Raises GatewayError, VendorRefused."""
    limit = call.plane.config.max_file_bytes
    length = call.request.headers.get("content-length", "0")
    if int(length) > limit + FORM_BYTES:
        raise _too_large(limit)
    form = events(_chunks(call, limit + FORM_BYTES), call.request.headers.get("content-type", ""))
    fields, head = await _until_file(form)
    if head is None:
        raise InvalidRequest("The form has no part `file`.", param="file")
    if _purpose(fields):
        return await _send(call, fields, head, _file(form, limit), form)
    spool = await asyncio.to_thread(tempfile.TemporaryFile)
    try:
        async for piece in _file(form, limit):
            await asyncio.to_thread(spool.write, piece)
        await asyncio.to_thread(spool.seek, 0)
        return await _send(call, fields + await _trailing(form), head, _spooled(spool), None)
    finally:
        await asyncio.to_thread(spool.close)


async def _send(
    call: Call, fields: Fields, head: PartBegins, data: AsyncIterator[bytes], form: AsyncIterator[Event] | None
) -> Response:
    """Send it up as the form's fields say; `form` is what is still to come behind the file."""
    purpose = _purpose(fields)
    if not purpose:
        raise InvalidRequest("Say what the file is for: the form has no `purpose`.", param="purpose")
    place = Place(call)
    if purpose == BATCH:
        lines = place.fitted(data)
        first = await anext(lines, None)
        if first is None:
            raise InvalidRequest("The file has no lines.", param="file")
        data = _joined(first, lines)
    else:
        place.choose()
    writer = FormWriter()
    body = _form(call, writer, fields, head, data, form)
    upstream = call.plane.config.upstreams[UpstreamId(place.upstream)]
    call.alias, call.tier, call.upstream = place.alias, place.tier, place.upstream
    answer = await call.vendors.whole(
        upstream, "POST", ("files",), headers={"content-type": writer.content_type}, content=body
    )
    row = place.owned(answer, purpose)
    await keep(call, row)
    return call.answer(answer.status, dict(answer.headers), answer.body)


async def keep(call: Call, row: Owned) -> None:
    """Make it its tenant's; where that cannot be recorded, it is deleted again. Raises GatewayError."""
    try:
        await call.plane.owners.claim([row])
    except UpstreamFailed:
        raise
    except GatewayError:
        try:
            await call.vendors.whole(call.place_of(row), "DELETE", ("files", row.id))
        except (GatewayError, VendorRefused) as error:
            logger.error("file %s at %s is nobody's and could not be deleted: %s", row.id, row.upstream, error)
        raise


class Place:
    """Where a file goes: the upstream, and the alias and model that a batch's lines are for."""

    def __init__(self, call: Call) -> None:
        self.alias = self.tier = self.model = self.upstream = ""
        self._call = call
        self._plane = call.plane
        self._named = call.request.headers.get(HEADER, "")

    def choose(self) -> None:
        """For any file but a batch's. Raises CallerError."""
        plane, tenant = self._plane, self._call.tenant
        if self._named:
            route = plane.catalogue.find(tenant, self._named, None)
            self._take(route, place_for_alias(plane.config, route, tenant.name, FOR_FILES, HEADER))
            self.model = ""  # Its lines, if the vendor should find any in it, were not looked at.
        else:
            self.upstream = only_place(plane.config, plane.catalogue, tenant)

    async def fitted(self, data: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """A batch's lines, as the upstream takes them; the first decides where. Raises CallerError naming the line."""
        cutter = Cutter(self._plane.config.max_body_bytes)
        try:
            async for piece in data:
                out = bytearray()
                for text in cutter.feed(piece):
                    out += await self._fit(text, cutter.number)
                if out:
                    yield bytes(out)
        except LineTooLong as error:
            raise InvalidRequest(str(error), param="file") from None
        for text in cutter.end():
            yield await self._fit(text, cutter.number)

    def owned(self, answer: Answer, purpose: str) -> Owned:
        """The row of the file that the vendor made of it. Raises UpstreamFailed for an answer without an id."""
        upstream, fields = self._plane.config.upstreams[UpstreamId(self.upstream)], answer.fields
        given, expires = fields.get("purpose"), fields.get("expires_at")
        return Owned(
            kind=Stored.FILE,
            upstream=self.upstream,
            id=id_of(answer),
            tenant=self._call.tenant.name,
            provider=upstream.provider,
            account=upstream.account,
            created_ns=clock.unix_nanos(),
            alias=self.alias,
            tier=self.tier,
            model=self.model,
            purpose=(given if isinstance(given, str) and given else purpose)[:64],
            trace_id=self._call.trace_id,
            span_id=self._call.span_id,
            object=answer.body.decode("utf-8", "replace"),
            expires_s=expires if isinstance(expires, int) else None,
        )

    def _take(self, route: Route, rung: Rung) -> None:
        self.alias, self.tier = route.alias.name, route.alias.tier
        self.model, self.upstream = rung.model, rung.upstream

    async def _fit(self, text: bytes, number: int) -> bytes:
        line = read_line(text, number)
        if not self.upstream:
            self._begin(line.alias, number)
        elif line.alias != self.alias:
            raise fault(number, f"names the model {line.alias[:64]!r}, and the first one {self.alias!r}: one per file")
        upstream = self._plane.config.upstreams[UpstreamId(self.upstream)]
        if Surface(line.kind.value) not in upstream.serves:
            raise fault(number, f"asks for {line.kind.route}, which this model is not served on")
        if mentions(text, response=line.kind is Kind.RESPONSES):
            await self._check_names(text, line.body, number)
        return line.for_upstream(
            self.model, self._plane.identity.body_changes(upstream, self._call.tenant.name, line.body)
        )

    def _begin(self, alias: str, number: int) -> None:
        plane, tenant = self._plane, self._call.tenant
        if self._named and self._named != alias:
            raise fault(number, f"names the model {alias[:64]!r}, and the header {HEADER} {self._named[:64]!r}")
        try:
            route = plane.catalogue.find(tenant, alias, None)
            self._take(route, place_for_alias(plane.config, route, tenant.name, FOR_BATCHES, "file"))
        except CallerError as error:
            raise at_line(number, error) from None

    async def _check_names(self, text: bytes, body: object, number: int) -> None:
        """A line names nothing that is not the tenant's, there."""
        named = named_in(text, body if isinstance(body, dict) else {})
        tenant = self._call.tenant.name
        found = await self._plane.owners.find_all(tenant, named.names)
        try:
            if self.upstream not in where(self._plane.config, tenant, named.names, found):
                raise fault(number, "names what is stored elsewhere")
        except CallerError as error:
            raise at_line(number, error) from None


def id_of(answer: Answer) -> str:
    """The id of what a vendor made. Raises UpstreamFailed where it gave none that can be kept."""
    id_ = answer.fields.get("id")
    if not isinstance(id_, str) or not storable(id_):
        raise UpstreamFailed(CANNOT_READ)
    return id_


async def _form(
    call: Call,
    writer: FormWriter,
    fields: Fields,
    head: PartBegins,
    data: AsyncIterator[bytes],
    form: AsyncIterator[Event] | None,
) -> AsyncIterator[bytes]:
    for part, value in fields:
        yield writer.begin(part) + value + writer.end()
    yield writer.begin(head)
    async for piece in data:
        yield piece
    yield writer.end()
    for part, value in await _trailing(form) if form is not None else ():
        if part.name == "purpose":
            raise InvalidRequest("The form has `purpose` twice.", param="purpose")
        yield writer.begin(part) + value + writer.end()
    yield writer.close()
    call.body_read.set()


async def _chunks(call: Call, limit: int) -> AsyncIterator[bytes]:
    size = 0
    try:
        async for chunk in call.request.stream():
            size += len(chunk)
            if size > limit:
                raise _too_large(call.plane.config.max_file_bytes)
            yield chunk
    except ClientDisconnect:
        raise ClientGone from None


async def _until_file(form: AsyncIterator[Event]) -> tuple[Fields, PartBegins | None]:
    """The fields before the file, and the file's head; None if the form ends without one."""
    fields: Fields = []
    value, part = bytearray(), None
    async for event in form:
        if isinstance(event, PartBegins):
            if event.name == "file" or event.filename is not None:
                if event.name != "file":
                    raise InvalidRequest("The form's file must be its part `file`.", param="file")
                return fields, event
            value, part = bytearray(), event
        elif isinstance(event, PartEnds):
            if part is not None:
                fields.append((part, bytes(value)))
        else:
            value += event
            if len(value) > FIELD_BYTES_MAX:
                raise InvalidRequest(f"A field of the form is longer than {FIELD_BYTES_MAX} bytes.")
    return fields, None


async def _trailing(form: AsyncIterator[Event]) -> Fields:
    fields, again = await _until_file(form)
    if again is not None:
        raise InvalidRequest("The form has more than one file.", param="file")
    return fields


async def _file(form: AsyncIterator[Event], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for event in form:
        if isinstance(event, PartEnds):
            return
        if isinstance(event, bytes):
            size += len(event)
            if size > limit:
                raise _too_large(limit)
            yield event


async def _spooled(spool: IO[bytes]) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(spool.read, SPOOL_PIECE):
        yield piece


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


def _purpose(fields: Fields) -> str:
    given = [value for part, value in fields if part.name == "purpose"]
    if len(given) > 1:
        raise InvalidRequest("The form has `purpose` twice.", param="purpose")
    return given[0].decode("utf-8", "replace").strip() if given else ""


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The file is longer than {limit} bytes.")
