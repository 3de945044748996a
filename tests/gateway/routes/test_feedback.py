"""POST /v1/feedback: a tenant says of its own requests alone what their answers were worth, and it is written down."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain import ids
from gateway.domain.attempt import Verdict
from gateway.feedback.answered import REQUESTS_MAX, Answered, LookUp, Recent
from tests.gateway import facts
from tests.gateway.fakes import FakeBooks, ScriptedUpstream
from tests.gateway.serving import GLOBEX, Gateway, chat_request, gateway, routing

OLD = Answered("a" * 32, "b" * 16, "fast", "interactive", "last-week")


async def say(served: Gateway, key: str | None = None, **body: Any) -> tuple[int, dict[str, Any]]:
    async with served.client(key) if key else served.client() as client:
        answer = await client.post("/v1/feedback", json=body)
    told = answer.json()
    return answer.status_code, told.get("error", told)


async def asked(served: Gateway, **headers: str) -> tuple[str, str]:
    """The ids of one answer: the request's on the books, the answer's own."""
    async with served.client() as client:
        answer = await client.post("/v1/chat/completions", json=chat_request(), headers=headers)
    return answer.headers["x-tollway-request-id"], answer.json()["id"]


async def test_feedback_names_a_request_or_its_answer_and_is_a_child_of_the_request(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        request_id, response_id = await asked(served)
        status, told = await say(served, request_id=request_id, verdict="redo", reason="wrong_tool", score=0.25)
        again, same = await say(served, request_id=request_id, verdict="redo", reason="wrong_tool", score=0.25)
        await say(served, response_id=response_id, verdict="bad")
        first, _, last = served.books.feedbacks
        (operation,) = served.books.operations
        async with served.client() as client:
            metrics = (await client.get("/metrics")).text
    assert (status, again, told) == (200, 200, same)
    assert told == {
        "object": "feedback", "request_id": request_id, "verdict": "redo", "reason": "wrong_tool", "score": 0.25,
    }  # fmt: skip
    for said in (first, last):
        assert (said.trace_id, said.parent_span_id) == (operation.trace_id, operation.span_id)
        assert (said.tenant, said.alias, said.tier, said.request_id) == ("acme", "fast", "interactive", request_id)
    assert (first.verdict, first.reason, first.score, first.response_id) == (Verdict.REDO, "wrong_tool", 0.25, "")
    assert (last.verdict, last.reason, last.score, last.response_id) == (Verdict.BAD, "", None, response_id)
    assert 'tollway_feedback_total{verdict="redo"} 2.0' in metrics


async def test_anothers_request_is_as_unknown_as_one_that_never_was(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        request_id, response_id = await asked(served, **{"x-request-id": "mine"})
        told = [
            await say(served, GLOBEX, request_id=request_id, verdict="bad"),
            await say(served, GLOBEX, response_id=response_id, verdict="bad"),
            await say(served, GLOBEX, request_id="never", verdict="bad"),
        ]
        unknown = await say(served, "nobodys-key-0123456789", request_id=request_id, verdict="bad")
        assert served.books.feedbacks == []
    assert told[0] == told[1] == told[2]
    assert (told[0][0], told[0][1]["code"]) == (404, "request_not_found")
    assert (unknown[0], unknown[1]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(("body", "param"), [
    ({"verdict": "bad"}, "request_id"), ({"request_id": "a", "response_id": "b", "verdict": "bad"}, "request_id"),
    ({"request_id": 3, "verdict": "bad"}, "request_id"), ({"request_id": "a" * 257, "verdict": "bad"}, "request_id"),
    ({"request_id": "a\n", "verdict": "bad"}, "request_id"), ({"request_id": "a"}, "verdict"),
    ({"request_id": "a", "verdict": ["bad"]}, "verdict"), ({"request_id": "a", "verdict": "worst"}, "verdict"),
    ({"request_id": "a", "verdict": "bad", "reason": "Not so good"}, "reason"),
    ({"request_id": "a", "verdict": "bad", "reason": "x" * 65}, "reason"),
    ({"request_id": "a", "verdict": "bad", "score": 1.1}, "score"),
    ({"request_id": "a", "verdict": "bad", "score": True}, "score"),
    ({"request_id": "a", "verdict": "bad", "comment": ""}, "comment"),
])  # fmt: skip
async def test_what_is_no_feedback_is_refused_by_its_field(
    upstream: ScriptedUpstream, body: dict[str, Any], param: str
) -> None:
    async with gateway(routing(upstream.url)) as served:
        status, told = await say(served, **body)
    assert (status, told["code"], told["param"]) == (400, "invalid_request", param)


async def test_feedback_is_bounded_in_size_and_in_number(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, tenants={"acme": {"requests_per_minute": 2}})) as served:
        request_id, _ = await asked(served)
        long, _ = await say(served, request_id=request_id, verdict="bad", reason="x" * 9000)
        refused, told = await say(served, request_id=request_id, verdict="bad")
        async with served.client() as client:
            wrong = await client.get("/v1/feedback")
    assert (long, refused, told["code"]) == (413, 429, "quota_exhausted")
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (405, "method_not_allowed")


def known(tenant: str, request_id: str, response_id: str) -> Answered | None:
    return OLD if (tenant, request_id, response_id) == ("acme", "last-week", "") else None


def not_had(tenant: str, request_id: str, response_id: str) -> Answered | None:
    raise OSError("the store was not asked")


@pytest.mark.parametrize(("look_up", "key", "status", "code"), [
    (known, None, 200, None), (known, GLOBEX, 404, "request_not_found"), (not_had, None, 503, "feedback_unavailable"),
    (None, None, 404, "request_not_found"),
])  # fmt: skip
async def test_what_the_process_does_not_remember_is_looked_up(
    upstream: ScriptedUpstream, look_up: LookUp | None, key: str | None, status: int, code: str | None
) -> None:
    async with gateway(routing(upstream.url), look_up=look_up) as served:
        found, told = await say(served, key, request_id="last-week", verdict="redo")
        kept = [(said.trace_id, said.parent_span_id) for said in served.books.feedbacks]
    assert (found, told.get("code")) == (status, code)
    assert kept == ([(OLD.trace_id, OLD.span_id)] if status == 200 else [])


def test_a_process_remembers_its_latest_requests_and_no_more() -> None:
    recent = Recent()
    made = [replace(facts.operation(facts.intent()), request_id=ids.RequestId(f"r{n}")) for n in range(REQUESTS_MAX)]
    for operation in [*made, made[0], replace(made[0], request_id=ids.RequestId("last"))]:
        recent.ended(operation)
    known = [bool(recent.find("acme", name, "")) for name in ("r0", "r1", "r2", "last")]
    assert known == [True, False, True, True]


async def test_feedback_that_cannot_be_kept_is_not_taken(upstream: ScriptedUpstream) -> None:
    books = FakeBooks()
    async with gateway(routing(upstream.url), books) as served:
        request_id, _ = await asked(served)
        books.full = True
        status, told = await say(served, request_id=request_id, verdict="bad")
    assert (status, told["code"]) == (503, "journal_unavailable")
