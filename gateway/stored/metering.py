"""Usage that a vendor tells afterwards: of a batch when its results are fetched, of a background response at its end.

Each goes on the books once. Attempt and span ids are derived from what the vendor calls it, so a fetch that is repeated
after a crash, or made twice at a time, writes the same spans, which land once. What was put on the books for good is
remembered beside the owner, so an ordinary second fetch writes nothing at all.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import orjson

from gateway.budgets.spent import spent_usd
from gateway.control.database import ControlUnavailable
from gateway.domain import clock
from gateway.domain.attempt import Attempt, Intent, Outcome
from gateway.domain.ids import (
    Account,
    Alias,
    AttemptId,
    RequestId,
    SpanId,
    TenantId,
    TierName,
    TraceId,
    UpstreamId,
    derived_ids,
    response_ids,
)
from gateway.domain.rate_card import RateBook, processing_tier
from gateway.domain.reasons import Reason
from gateway.domain.usage import NO_USAGE, Completeness
from gateway.errors import OwnersUnavailable
from gateway.flow.booking import TOKEN_CLASSES, normalised
from gateway.flow.plane import Plane
from gateway.relay.relay import text
from gateway.relay.responses import finish_reason
from gateway.relay.sse import EventTooLong, Splitter, data_of, events
from gateway.stored.gate import home
from gateway.stored.ledger import Owned
from gateway.stored.lines import Cutter, LineTooLong
from gateway.stored.naming import Stored
from gateway.wire.kinds import Kind

logger = logging.getLogger(__name__)

BATCH_TIER = "batch"
"""The vendor's processing tier of batches."""
ENDED = frozenset({"completed", "incomplete", "failed", "cancelled"})
"""A response with one of these states changes no more."""
REQUEST_ID_MAX = 128
LINE_MAX = 67_108_864
"""Bytes of a line of results."""


class ResultMeter:
    """Reads a batch's results as they pass, from where an earlier fetch got to, and books each line's usage."""

    def __init__(self, plane: Plane, row: Owned) -> None:
        self._plane = plane
        self._row = row
        self._cutter = Cutter(LINE_MAX)
        self._booked_to = row.metered_to
        self._whole = self._lost = False
        self._usd = Decimal(0)
        """What the lines booked here cost, as far as a price is known."""
        plane.stored.metering.add(row.key)

    def feed(self, piece: bytes) -> None:
        """Some of the file. Raises OSError where the books take no more."""
        if self._lost:
            return
        try:
            for line in self._cutter.feed(piece):
                self._book(line)
        except LineTooLong:
            self._lost = True
            logger.error(
                "the results %s of batch %s cannot be metered: a line is too long", self._row.id, self._row.parent
            )

    def end(self) -> None:
        """The file is whole. Raises OSError."""
        if not self._lost:
            for line in self._cutter.end():
                self._book(line)
            self._whole = True

    async def close(self) -> None:
        """Charge the tenant's month, and remember what is on the books for good. Raises OSError, OwnersUnavailable."""
        plane, row = self._plane, self._row
        try:
            if not self._whole and self._booked_to == row.metered_to:
                return
            await plane.books.flushed()
            await self._charge()
            now = clock.unix_nanos() if self._whole else None
            await plane.owners.save(replace(row, metered_ns=now, metered_to=self._booked_to))
            if now is not None:
                batch = await plane.owners.find(row.tenant, Stored.BATCH, row.parent)
                if batch is not None and holds_usage(batch, row.id):
                    await plane.owners.save(replace(batch, metered_ns=now))
                    await plane.stored.recount()
        finally:
            plane.stored.metering.discard(row.key)

    async def _charge(self) -> None:
        """Before it is remembered: a crash between the two charges it again, so a month is only ever overstated."""
        try:
            await self._plane.budgets.charge(self._row.tenant, self._usd)
        except ControlUnavailable as error:
            raise OwnersUnavailable(
                "What these results cost cannot be put on your budget at present. Fetch them again later.",
                retry_after_s=5,
            ) from error

    def _book(self, line: bytes) -> None:
        cutter = self._cutter
        if cutter.taken <= self._row.metered_to:
            return
        attempt = line_attempt(self._plane, self._row, line, cutter.number)
        if attempt is not None:
            book(self._plane, attempt)
            self._usd += charged_usd(attempt, self._plane.config.rate_cards)
        self._plane.stored.lines.add("metered" if attempt is not None else "error")
        self._booked_to = cutter.taken


def charged_usd(attempt: Attempt, cards: RateBook) -> Decimal:
    """What a line draws on a budget: where no card names its tier, the default tier's price, which is never less; 0
    where that is not known either."""
    usd = spent_usd(attempt, cards)
    return (spent_usd(replace(attempt, service_tier=""), cards) if usd is None else usd) or Decimal(0)


def meter_of(plane: Plane, row: Owned) -> ResultMeter | None:
    """A meter for that file's fetch; None where there is nothing to put on the books, or another fetch is at it."""
    if not row.parent or row.metered_ns is not None or row.key in plane.stored.metering:
        return None
    return ResultMeter(plane, row)


def holds_usage(batch: Owned, file_id: str) -> bool:
    """Whether that file is the one with the batch's good answers: a file of errors has no usage."""
    try:
        fields = orjson.loads(batch.object)
    except orjson.JSONDecodeError:
        return True
    return not isinstance(fields, dict) or fields.get("output_file_id") in (file_id, None)


def line_attempt(plane: Plane, row: Owned, line: bytes, number: int) -> Attempt | None:
    """What a line of results tells of one request; None for an error, which has no usage."""
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        logger.error("line %d of the results of batch %s cannot be read, so it is not metered", number, row.parent)
        return None
    response = fields.get("response") if isinstance(fields, dict) else None
    body = response.get("body") if isinstance(response, dict) else None
    status = response.get("status_code") if isinstance(response, dict) else None
    if not isinstance(body, dict) or not isinstance(status, int) or not 200 <= status < 300:
        return None
    names = (text(fields.get("custom_id")), text(fields.get("id")))
    key = names if any(names) else (str(number),)
    intent = late_intent(plane, row, body, (row.parent, *key), route="/v1/batches", service_tier=BATCH_TIER)
    return late_attempt(
        replace(intent, request_id=RequestId("/".join((row.parent, *key))[:128])), body, BATCH_TIER, status
    )


def response_attempt(plane: Plane, row: Owned, body: Mapping[str, object]) -> Attempt | None:
    """What a background response used, now that it has ended; None where the vendor tells of no usage."""
    if not isinstance(body.get("usage"), dict):
        return None
    tier = text(body.get("service_tier"))
    intent = late_intent(plane, row, body, (row.id,), route=Kind.RESPONSES.route, service_tier=tier)
    attempt = late_attempt(intent, body, tier, 200)
    failed = body.get("status") == "failed"
    return replace(attempt, outcome=Outcome.ERROR, error_type=Reason.SERVER_ERROR) if failed else attempt


def late_intent(
    plane: Plane, row: Owned, body: Mapping[str, object], key: tuple[str, ...], *, route: str, service_tier: str
) -> Intent:  # fmt: skip
    """The facts of a call that the vendor made by itself, under ids that follow from what the vendor calls it."""
    config = plane.config
    upstream = config.upstreams.get(UpstreamId(home(config, row) or row.upstream))
    endpoint = plane.upstreams[upstream.name].endpoint if upstream is not None else None
    at = _made_at(row, body)
    attempt_id, span_id = late_ids(row, key)
    when = datetime.fromtimestamp(at / 1e9, UTC)
    tier = processing_tier(service_tier)
    region, deployment = (upstream.region, upstream.deployment) if upstream else ("", "")
    card = config.rate_cards.in_force(
        provider=row.provider,
        account=row.account,
        model=row.model,
        at=when,
        tier=tier,
        region=region,
        deployment=deployment,
    )
    return Intent(
        attempt_id=attempt_id,
        trace_id=TraceId(row.trace_id),
        span_id=span_id,
        parent_span_id=SpanId(row.span_id),
        started_at=at,
        tenant=TenantId(row.tenant),
        alias=Alias(row.alias),
        tier=TierName(row.tier),
        request_id=RequestId("/".join(key)[:REQUEST_ID_MAX]),
        upstream=UpstreamId(row.upstream),
        provider=row.provider,
        account=Account(row.account),
        region=region,
        deployment=deployment,
        quantization=upstream.quantization if upstream else "",
        pattern=upstream.pattern if upstream else "direct",
        model=row.model or text(body.get("model")),
        attempt_index=0,
        fallback_depth=row.fallback_depth,
        fallback_reason=row.fallback_reason,
        rate_card=card.card_id if card else "",
        operation_started_at=at,
        server_address=endpoint.host if endpoint else "",
        server_port=endpoint.port if endpoint else 0,
        operation=_operation(body),
        route=route,
    )


def late_attempt(intent: Intent, body: Mapping[str, object], service_tier: str, status: int) -> Attempt:
    """That call, ended: when it was made is all that is known of when."""
    raw = body.get("usage")
    usage = normalised(raw) if isinstance(raw, dict) else None
    return Attempt(
        intent=intent,
        ended_at=intent.started_at,
        outcome=Outcome.OK,
        http_status=status,
        usage=usage or NO_USAGE,
        completeness=Completeness.MEASURED if usage is not None else Completeness.UNKNOWN,
        usage_raw=orjson.dumps(raw).decode() if isinstance(raw, dict) else "",
        response_id=text(body.get("id")),
        response_model=text(body.get("model")),
        finish_reason=_finish_reason(body),
        service_tier=service_tier,
    )


def late_ids(row: Owned, key: tuple[str, ...]) -> tuple[AttemptId, SpanId]:
    """The ids of the attempt with that key. A response's span is the one under which the call that made it tells of its
    usage, if it gets to: whichever of the two comes to the books first, the other does not land."""
    if row.kind is Stored.RESPONSE:
        return response_ids(
            provider=row.provider, account=row.account, upstream=row.upstream, operation=row.span_id, response=row.id
        )
    return derived_ids(row.provider, row.account, row.upstream, row.kind, *key)


def book(plane: Plane, attempt: Attempt) -> None:
    """Put it on the books. Raises OSError."""
    plane.books.late(attempt)
    intent, metrics = attempt.intent, plane.metrics
    metrics.attempts.add(intent.alias, intent.tier, intent.upstream, attempt.outcome, attempt.error_type)
    if attempt.completeness is Completeness.MEASURED:
        for token_class in TOKEN_CLASSES:
            if count := getattr(attempt.usage, token_class):
                metrics.tokens.add(intent.alias, intent.upstream, token_class, by=count)


async def meter_response(plane: Plane, row: Owned, body: Mapping[str, object]) -> None:
    """Put a background response on the books, once it is seen to have ended. Raises OSError, OwnersUnavailable."""
    if row.metered_ns is not None or body.get("status") not in ENDED or row.key in plane.stored.metering:
        return
    plane.stored.metering.add(row.key)
    try:
        attempt = response_attempt(plane, row, body)
        if attempt is not None:
            book(plane, attempt)
            await plane.books.flushed()
        await plane.owners.save(replace(row, metered_ns=clock.unix_nanos()))
        await plane.stored.recount()
    finally:
        plane.stored.metering.discard(row.key)


class EventMeter:
    """Reads a background response's events as they pass, for the one that says how it ended."""

    def __init__(self, plane: Plane, row: Owned) -> None:
        self._plane = plane
        self._row = row
        self._splitter = Splitter()
        self._ended: Mapping[str, object] | None = None

    def feed(self, piece: bytes) -> None:
        """Some of the stream."""
        try:
            whole = self._splitter.feed(piece)
        except EventTooLong:
            return
        for event in events(whole):
            if b'"usage"' in event:
                self._look(data_of(event) or b"")

    def end(self) -> None:
        """It was whole: an event without a blank line behind it is none."""

    async def close(self) -> None:
        """Put it on the books, if it has ended. Raises OSError, OwnersUnavailable."""
        if self._ended is not None:
            await meter_response(self._plane, self._row, self._ended)

    def _look(self, payload: bytes) -> None:
        try:
            fields = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return
        response = fields.get("response") if isinstance(fields, dict) else None
        if isinstance(response, dict) and response.get("status") in ENDED:
            self._ended = response


def _made_at(row: Owned, body: Mapping[str, object]) -> int:
    """When the vendor says it made it, in Unix nanoseconds: whoever asks when, it is the same."""
    for name in ("created", "created_at"):
        value = body.get(name)
        if isinstance(value, int | float) and 1_000_000_000 < value < 9_000_000_000:
            return int(value) * 1_000_000_000
    return row.created_ns


def _operation(body: Mapping[str, object]) -> str:
    kinds = {"chat.completion": Kind.CHAT, "text_completion": Kind.COMPLETIONS, "list": Kind.EMBEDDINGS}
    return kinds.get(text(body.get("object")), Kind.RESPONSES).operation


def _finish_reason(body: Mapping[str, object]) -> str:
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if isinstance(first, dict):
        return text(first.get("finish_reason"))
    return finish_reason(body) if body.get("object") == "response" else ""
