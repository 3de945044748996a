"""POST /v1/chat/completions: what is answered, when, and what is charged for it.

The rule of every path: the ledger is settled before the client can see the end that it is charged for. What is charged:
    an error or a 429                                     nothing
    a stream that ended, however, before its first token  nothing
    a stream cut off by its client or by the vendor       the prompt, and every token generated until then
    a whole answer whose client hung up while it waited   the prompt, and every token generated until then
    anything that was answered whole                      the prompt and the answer
"""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from deploy.demo.vendor import asgi, wire
from deploy.demo.vendor.asgi import HangUp, Receive, Scope, Send
from deploy.demo.vendor.ask import AskRefused, read
from deploy.demo.vendor.faults import Fault, FaultDice
from deploy.demo.vendor.ledger import Cause, Ledger, Row
from deploy.demo.vendor.prompt_cache import PromptCache
from deploy.demo.vendor.settings import Settings

BREAK_AFTER_CHUNKS = 2

REFUSALS = {
    Fault.INTERNAL_ERROR: (500, "The server had an error while processing your request", "server_error", None),
    Fault.OVERLOADED: (503, "The engine is currently overloaded, please try again later", "server_error", "overloaded"),
    Fault.RATE_LIMITED: (429, "Rate limit reached for requests", "requests", "rate_limit_exceeded"),
}


@dataclass(slots=True)
class _Call:
    """One request on its way: its row in the books, whose key it came with, and the means to answer it."""

    row: Row
    send: Send
    ledger: Ledger
    api_key_id: str = ""
    hang_up: HangUp = field(default_factory=HangUp)

    def settle(self, cause: Cause, status: int, **known: Any) -> None:
        """Close the row."""
        self.row = self.ledger.settle(self.row, cause=cause, status=status, api_key_id=self.api_key_id, **known)

    async def refuse(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Close the row with nothing charged, then answer with an error."""
        self.settle(Cause.RATE_LIMITED if status == 429 else Cause.ERROR, status)
        await asgi.answer(self.send, status, body, headers={"x-request-id": self.row.response_id, **(headers or {})})


class Chat:
    """The chat route of one vendor."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._cache = PromptCache()
        self._dice = FaultDice(settings.faults, settings.seed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, *, now: datetime) -> None:
        """Serve one request whose head arrived at `now`; the ledger has it before its body is read."""
        row = self._ledger.open(asgi.header(scope, b"x-client-request-id"), f"chatcmpl-{uuid4().hex[:24]}", now)
        call = _Call(row, send, self._ledger)
        key_id = self._settings.keys.get(asgi.header(scope, b"authorization").removeprefix("Bearer "))
        try:
            body = await asgi.read_body(receive)
        except asgi.ClientGone:
            call.settle(Cause.CLIENT_DISCONNECT, 0)
            return
        except asgi.BodyTooLarge as error:
            await call.refuse(413, wire.error_body(str(error), kind="invalid_request_error"))
            return
        if key_id is None:
            await call.refuse(
                401, wire.error_body("Incorrect API key", kind="authentication_error", code="invalid_api_key")
            )
            return
        call.api_key_id = key_id
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(call.hang_up.watch(receive))
            try:
                await self._serve(call, body)
            finally:
                watching.cancel()

    async def _serve(self, call: _Call, body: bytes) -> None:
        try:
            ask = read(body, self._settings)
        except AskRefused as error:
            kind = "invalid_request_error"
            await call.refuse(error.status, wire.error_body(str(error), kind=kind, param=error.param, code=error.code))
            return
        fault = self._dice.draw()
        if fault in REFUSALS:
            status, message, kind, code = REFUSALS[fault]
            wait = {"retry-after": str(self._settings.faults.retry_after_s)} if status == 429 else None
            await call.refuse(status, wire.error_body(message, kind=kind, code=code), wait)
            return
        answer = wire.Answer(
            ask=ask,
            response_id=call.row.response_id,
            created=int(call.row.received_at.timestamp()),
            model=self._settings.models[ask.model].snapshot,
            cached=self._cache.read(ask.prompt),
        )
        await (self._stream if ask.stream else self._whole)(call, answer, fault)

    async def _stream(self, call: _Call, answer: wire.Answer, fault: Fault) -> None:
        """The role at once, then a token each `token_s`; a client that went is noticed before the next one."""
        ask, time = answer.ask, asyncio.get_running_loop().time
        await asgi.start(call.send, 200, "text/event-stream; charset=utf-8", {"x-request-id": answer.response_id})
        await asgi.more(call.send, answer.opening())
        if await call.hang_up.within(self._first_token_s(answer, fault)):
            self._charge(call, answer, Cause.CLIENT_DISCONNECT, steps=0)
            return
        if fault is Fault.BREAK_BEFORE_FIRST_TOKEN:
            self._charge(call, answer, Cause.STREAM_BROKEN, steps=0)
            return
        breaks_at = min(BREAK_AFTER_CHUNKS, ask.words) if fault is Fault.BREAK_AFTER_SECOND_CHUNK else 0
        due = time()
        for number in range(ask.words):
            if call.hang_up.seen:
                self._charge(call, answer, Cause.CLIENT_DISCONNECT, steps=number + 1 if number else 0)
                return
            await asgi.more(call.send, answer.step(number))
            due += self._settings.pace.token_s
            await asyncio.sleep(max(0.0, due - time()))
            if number + 1 == breaks_at:
                cause = Cause.CLIENT_DISCONNECT if call.hang_up.seen else Cause.STREAM_BROKEN
                self._charge(call, answer, cause, steps=breaks_at)
                return
        self._charge(call, answer, Cause.CLIENT_DISCONNECT if call.hang_up.seen else Cause.COMPLETED, steps=ask.words)
        await asgi.end(call.send, answer.ending())

    async def _whole(self, call: _Call, answer: wire.Answer, fault: Fault) -> None:
        ask, time = answer.ask, asyncio.get_running_loop().time
        first_token_s, token_s = self._first_token_s(answer, fault), self._settings.pace.token_s
        began = time()
        if await call.hang_up.within(first_token_s + token_s * ask.words):
            steps = int((time() - began - first_token_s) / token_s) if token_s else 0
            self._charge(call, answer, Cause.CLIENT_DISCONNECT, steps=min(max(0, steps), ask.words), prompt=True)
            return
        self._charge(call, answer, Cause.COMPLETED, steps=ask.words)
        await asgi.answer(call.send, 200, answer.whole(), headers={"x-request-id": answer.response_id})

    def _first_token_s(self, answer: wire.Answer, fault: Fault) -> float:
        pace, uncached = self._settings.pace, len(answer.ask.prompt) - answer.cached
        slow = self._settings.faults.slow_first_token_s if fault is Fault.SLOW_FIRST_TOKEN else 0.0
        return pace.first_token_s + pace.per_1000_uncached_s * uncached / 1000 + slow

    def _charge(self, call: _Call, answer: wire.Answer, cause: Cause, *, steps: int, prompt: bool = False) -> None:
        """Close the row with `steps` tokens of each choice charged, and the prompt if there are any, or if `prompt`."""
        ask = answer.ask
        prompt_tokens = len(ask.prompt) if steps or prompt else 0
        cached = answer.cached if prompt_tokens else 0
        tokens = {"input": prompt_tokens - cached, "cached input": cached, "output": steps * ask.choices}
        status = 200 if ask.stream or cause is Cause.COMPLETED else 0
        call.settle(cause, status, stream=ask.stream, model=self._settings.models[ask.model], tokens=tokens)
