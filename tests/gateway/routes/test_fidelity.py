"""What a vendor says beside its answer: ids, hints and errors, as the client gets them."""

import json
from typing import Any

import httpx
import pytest

from gateway.domain.attempt import Outcome
from gateway.domain.reasons import Reason
from tests.gateway.fakes import DONE, ROLE, Reply, ScriptedUpstream, answer, chat, chunk, error, event, events, stream
from tests.gateway.serving import VENDOR_KEY, Gateway, chat_request, gateway, routing

HINTS = {
    "retry_after": "17",
    "retry_after_ms": "17000",
    "x_should_retry": "false",
    "x_ratelimit_remaining_tokens": "5",
    "openai_processing_ms": "12",
    "openai_version": "2020-10-01",
    "x_generation_id": "gen-1",
}
REPLIES: dict[str, Reply] = {
    "an answer": answer(chat(), **HINTS),
    "a stream": stream(*events("Hi"), **HINTS),
    "an error": error(422, **HINTS),
}


async def ask(served: Gateway, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes), headers=headers)


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_a_vendors_hints_are_forwarded_and_its_other_headers_are_not(
    upstream: ScriptedUpstream, reply: Reply
) -> None:
    upstream.always = reply
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, stream=True)
    for name, value in HINTS.items():
        assert got.headers[name.replace("_", "-")] == value


IDS = [
    ({"x-request-id": "mine"}, {"x_request_id": "theirs"}, "mine"),
    ({"x-request-id": "mine"}, {}, "mine"),
    ({}, {"x_request_id": "theirs"}, "theirs"),
    ({"x-request-id": "does not fit"}, {"x_request_id": "theirs"}, "theirs"),
    ({}, {"x_request_id": "does not fit"}, None),
    ({}, {}, None),
]


@pytest.mark.parametrize(("sent", "vendors", "shown"), IDS, ids=str)
@pytest.mark.parametrize("make", [lambda h: answer(chat(), **h), lambda h: stream(*events("Hi"), **h)])
async def test_a_request_goes_by_the_clients_id_else_the_vendors_else_ours_and_ours_is_always_told(
    upstream: ScriptedUpstream, make: Any, sent: dict[str, str], vendors: dict[str, str], shown: str | None
) -> None:
    upstream.always = make(vendors)
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, sent, stream=True)
    [operation] = served.books.operations
    assert got.headers["x-tollway-request-id"] == operation.request_id
    assert got.headers["x-request-id"] == shown or (shown is None and got.headers["x-request-id"].startswith("req_"))
    assert (operation.request_id == "mine") == (sent.get("x-request-id") == "mine")


async def test_errors_of_our_own_are_named_too(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, {"x-request-id": "mine"}, model="none")
        async with served.client() as client:
            unknown = await client.get("/v1/nothing", headers={"x-request-id": "mine"})
    for refused in (got, unknown):
        assert (refused.headers["x-request-id"], refused.headers["x-tollway-request-id"]) == ("mine", "mine")


NO_SUCH_MODEL = {
    "message": "The model `m0` does not exist or you do not have access to it.",
    "type": "invalid_request_error",
    "param": None,
    "code": "model_not_found",
}
OURS: dict[str, tuple[Reply, Reason]] = {
    "no such model": (error(404, "model_not_found", "The model `m0` does not exist."), Reason.NOT_SERVED),
    "no such model in band": (stream(event({"error": NO_SUCH_MODEL})), Reason.NOT_SERVED),
    "no such model under status 200": (answer({"error": NO_SUCH_MODEL}), Reason.NOT_SERVED),
    "no such route": (answer({"detail": "Not Found"}, 404), Reason.NOT_SERVED),
    "no money": (error(402, "x", "Insufficient credits on m0."), Reason.UPSTREAM_AUTH),
    "no key": (error(400, "x", f"Incorrect API key provided: {VENDOR_KEY} for m0."), Reason.UPSTREAM_AUTH),
}


@pytest.mark.parametrize("case", OURS)
async def test_what_only_our_operator_can_mend_is_mended_by_the_next_rung_or_told_in_our_words(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream, case: str
) -> None:
    upstream.always = OURS[case][0]
    async with gateway(routing(upstream.url)) as served:
        alone = await ask(served, stream=True)
    async with gateway(routing(upstream.url, alternate.url)) as served:
        helped = await ask(served, stream=True)
    assert (alone.status_code, alone.json()["error"]["code"]) == (502, "ladder_exhausted")
    assert "m0" not in alone.text
    assert VENDOR_KEY not in alone.text
    assert helped.json() == chat()
    assert [a.outcome for a in served.books.attempts] == [Outcome.ERROR, Outcome.OK]
    assert served.books.attempts[0].error_type == OURS[case][1]


TOLD = f"Your request with {VENDOR_KEY} was too odd."


@pytest.mark.parametrize(
    "reply",
    [error(400, "odd", TOLD), answer({"error": {"message": TOLD, "type": "invalid_request_error"}})],
    ids=["an error", "an error under status 200"],
)
async def test_our_key_is_masked_in_an_error_that_is_the_callers_to_read(
    upstream: ScriptedUpstream, reply: Reply
) -> None:
    upstream.always = reply
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served)
    assert got.status_code == 400
    assert got.json()["error"]["message"] == TOLD.replace(VENDOR_KEY, "***")
    assert int(got.headers["content-length"]) == len(got.content)


async def test_our_key_is_masked_in_a_running_stream_too(upstream: ScriptedUpstream) -> None:
    upstream.always = stream(ROLE, event(chunk("Hi")), event({"error": {"message": TOLD, "code": "odd"}}))
    async with gateway(routing(upstream.url)) as served:
        got = await ask(served, stream=True)
    last = json.loads(got.content.split(b"data: ")[-1])
    assert last["error"] == {"message": TOLD.replace(VENDOR_KEY, "***"), "code": "odd"}
    assert DONE not in got.content
