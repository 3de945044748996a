"""What an upstream's answer means, and whose failure it is."""

import json
from typing import Any

import pytest

from gateway.domain.reasons import Reason
from gateway.flow.answer import forwarded, identity, outline, parsed, request_id_of
from gateway.flow.blame import blame, is_error, status_of
from gateway.flow.mask import masked


def fault(**error: Any) -> dict[str, object]:
    return {"error": error}


BLAME = [
    (429, None, Reason.RATE_LIMITED),
    (500, None, Reason.SERVER_ERROR),
    (503, fault(code="x"), Reason.SERVER_ERROR),
    (529, None, Reason.SERVER_ERROR),
    (408, None, Reason.SERVER_ERROR),
    (401, fault(code="invalid_api_key"), Reason.UPSTREAM_AUTH),
    (403, None, Reason.UPSTREAM_AUTH),
    (502, fault(code="invalid_api_key"), Reason.UPSTREAM_AUTH),
    (502, fault(type="authentication_error"), Reason.UPSTREAM_AUTH),
    (400, fault(code="invalid_authentication"), Reason.UPSTREAM_AUTH),
    (429, fault(status="PERMISSION_DENIED"), Reason.UPSTREAM_AUTH),
    (500, fault(code=7, type="permission_error"), Reason.UPSTREAM_AUTH),
    (400, fault(code=["invalid_api_key"]), Reason.CALLER_ERROR),
    (403, fault(code="content_filter"), Reason.CONTENT_FILTER),
    (302, None, Reason.BAD_RESPONSE),
    (400, None, Reason.CALLER_ERROR),
    (400, fault(code="invalid_value"), Reason.CALLER_ERROR),
    (404, fault(code="model_not_found"), Reason.NOT_SERVED),
    (403, fault(code="model_not_found"), Reason.UPSTREAM_AUTH),
    (400, fault(type="invalid_model"), Reason.NOT_SERVED),
    (400, fault(param="model", code="unsupported_value"), Reason.NOT_SERVED),
    (404, fault(code="DeploymentNotFound"), Reason.NOT_SERVED),
    (404, {"object": "error", "message": "The model `m0` does not exist.", "type": "NotFoundError"}, Reason.NOT_SERVED),
    (404, {"detail": "Not Found"}, Reason.NOT_SERVED),
    (404, None, Reason.NOT_SERVED),
    (405, None, Reason.NOT_SERVED),
    (404, fault(message="Conversation conv_1 was not found.", param="conversation"), Reason.CALLER_ERROR),
    (400, fault(message="Previous response 'resp_1' not found.", param="previous_response_id"), Reason.CALLER_ERROR),
    (402, fault(message="Insufficient credits."), Reason.UPSTREAM_AUTH),
    (400, fault(message="Incorrect API key provided: sk-ve***et."), Reason.UPSTREAM_AUTH),
    (500, {"error": "Invalid API key"}, Reason.UPSTREAM_AUTH),
    (429, {"detail": "Your API key has been revoked"}, Reason.UPSTREAM_AUTH),
    (400, fault(message="No access token was given."), Reason.UPSTREAM_AUTH),
    (424, fault(message="Error retrieving tool list from MCP server 'x': 401 (Unauthorized)."), Reason.CALLER_ERROR),
    (400, fault(message="Invalid value for 'max_tokens'. The key point is the token."), Reason.CALLER_ERROR),
    (422, fault(message=None), Reason.CALLER_ERROR),
    (400, {"error": "text"}, Reason.CALLER_ERROR),
    (400, fault(code="context_length_exceeded"), Reason.CONTEXT_TOO_LONG),
    (400, fault(message="This model's maximum context length is 8192 tokens."), Reason.CONTEXT_TOO_LONG),
    (400, fault(code="content_filter"), Reason.CONTENT_FILTER),
    (400, fault(type="content_policy_violation"), Reason.CONTENT_FILTER),
]


@pytest.mark.parametrize(("status", "fields", "reason"), BLAME, ids=str)
def test_a_status_and_its_body_name_the_reason(status: int, fields: dict[str, object] | None, reason: Reason) -> None:
    assert blame(status, fields) is reason


STATUSES = [
    (fault(code=429), 429),
    (fault(code="503"), 503),
    (fault(status=404), 404),
    (fault(code="x", status=401), 401),
    (fault(code="server_error"), 502),
    (fault(code="rate_limit_exceeded"), 429),
    (fault(type="invalid_request_error", code=None), 400),
    (fault(type="overloaded_error"), 503),
    (fault(code="rate_limit_exceeded", type="invalid_request_error"), 429),
    (fault(code=200), 502),
    (fault(), 502),
    ({"error": "text"}, 502),
    (None, 502),
]


@pytest.mark.parametrize(("fields", "status"), STATUSES, ids=str)
def test_an_error_under_status_200_gets_the_status_it_names(fields: dict[str, object] | None, status: int) -> None:
    assert status_of(fields) == status


def test_an_answer_with_choices_is_no_error_even_if_it_mentions_one() -> None:
    assert is_error({"error": {"message": "x"}})
    assert not is_error({"error": None, "choices": [1]})
    assert not is_error({"error": {"message": "partial"}, "choices": [1]})


def test_a_response_that_failed_is_an_error_whatever_it_brought_and_one_that_did_not_is_none() -> None:
    assert is_error({"object": "response", "status": "failed", "error": {"code": "server_error"}, "output": [1]})
    assert is_error({"object": "response", "status": "failed", "error": None, "output": []})
    assert not is_error({"object": "response", "status": "completed", "error": None, "output": []})
    assert not is_error({"data": [1], "error": {"message": "partial"}})


def test_a_response_names_itself_in_the_same_words() -> None:
    response = {"object": "response", "id": "r", "model": "m", "status": "completed", "service_tier": "flex"}
    assert identity(response) == ("r", "m", "stop", "flex")
    assert identity({**response, "output": [{"type": "function_call"}]})[2] == "tool_calls"
    cut = {**response, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    assert identity(cut)[2] == "length"
    assert identity({**cut, "incomplete_details": {"reason": "content_filter"}})[2] == "content_filter"


def test_an_error_without_an_envelope_is_one_too() -> None:
    assert is_error({"object": "error", "message": "The engine died.", "code": 500})


KEYS = [
    b"Rate limit reached for gpt-4o in organization org-aB3dE5fG7hI9jK1lM3nO5pQ7 on tokens per min.",
    b"Project `proj_aB3dE5fG7hI9jK1lM3nO5pQ7` does not have access.",
    b"Incorrect API key provided: sk-proj-Ab3********************x9Z.",
    b"Authorization: Bearer abcdefgh12345678",
    b"key AIzaSyA1234567890abcdefghijklmnop was refused",
    b"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s1gn4ture",
    b"gsk_0123456789abcdef",
]


@pytest.mark.parametrize("said", KEYS, ids=repr)
def test_what_looks_like_a_key_is_masked(said: bytes) -> None:
    shown = masked(said, b"")
    assert b"***" in shown
    for secret in (b"aB3dE5", b"Ab3", b"x9Z", b"abcdefgh1234", b"AIzaSy", b"s1gn4ture", b"0123456789"):
        assert secret not in shown


def test_our_own_key_is_masked_whatever_it_looks_like() -> None:
    assert masked(b"you sent plainpassword, no?", b"plainpassword") == b"you sent ***, no?"
    assert masked(b"short stays", b"short") == b"short stays"


@pytest.mark.parametrize(
    "said",
    [b'{"code":"sk_not_a_key"}', b"ask-me-anything-2024", b"request req_0123456789abcdef", b"rate limit 12-345678"],
)
def test_what_is_no_key_arrives_as_sent(said: bytes) -> None:
    assert masked(said, b"sk-vendor-secret") == said


def test_a_vendors_request_id_is_shown_if_it_fits() -> None:
    assert request_id_of([(b"x-request-id", b"req_vendor")]) == b"req_vendor"
    assert request_id_of([(b"x-request-id", b"two words")]) == b""
    assert request_id_of([(b"x-request-id", b"x" * 129)]) == b""
    assert request_id_of([]) == b""


def test_only_what_tells_a_client_when_to_come_back_is_forwarded() -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"retry-after", b"17"),
        (b"retry-after-ms", b"17000"),
        (b"x-should-retry", b"false"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"openai-processing-ms", b"12"),
        (b"openai-version", b"2020-10-01"),
        (b"x-generation-id", b"gen-1"),
        (b"openai-organization", b"ours"),
        (b"set-cookie", b"c=1"),
        (b"x-request-id", b"theirs"),
        (b"transfer-encoding", b"chunked"),
    ]
    names = [line.split(b":")[0] for line in forwarded(headers).split(b"\r\n") if line]
    assert names == [
        b"content-type", b"retry-after", b"retry-after-ms", b"x-should-retry", b"x-ratelimit-remaining-requests",
        b"openai-processing-ms", b"openai-version", b"x-generation-id",
    ]  # fmt: skip


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"1", b"\xff"])
def test_what_is_no_json_object_is_no_answer(body: bytes) -> None:
    assert parsed(body) is None


def many(**more: Any) -> dict[str, Any]:
    return {"object": "list", "data": [{"embedding": "A" * 2000}] * 1000, **more}


BEHIND = {"model": "m", "usage": {"prompt_tokens": 8, "total_tokens": 8}}


def test_of_many_embeddings_only_what_stands_behind_them_is_parsed() -> None:
    assert outline(json.dumps(many(**BEHIND)).encode()) == BEHIND
    assert outline(json.dumps({"data": [], **BEHIND}).encode()) == {"data": [], **BEHIND}


@pytest.mark.parametrize(
    "whole",
    [many(usage={"prompt_tokens": 8, "by_input": [8]}), {**BEHIND, **many()}, many(model="m")],
    ids=["an array in the usage", "the data last", "no usage"],
)
def test_embeddings_that_are_laid_out_otherwise_are_parsed_whole(whole: dict[str, Any]) -> None:
    assert outline(json.dumps(whole).encode()) == whole


def test_an_answer_names_itself_as_far_as_it_does() -> None:
    assert identity({"id": "x", "model": "m", "choices": [{"finish_reason": "stop"}]}) == ("x", "m", "stop", "")
    assert identity({"id": 7, "choices": []}) == ("", "", "", "")
    assert identity({"choices": [None]}) == ("", "", "", "")
