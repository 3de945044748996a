"""A tier's logging policy: what is written down of a request, and what is not."""

from typing import Any

import httpx
import pytest

from gateway.flow.content import CONTENT_BYTES_MAX
from tests.gateway.fakes import ScriptedUpstream, answer, chat, error, events, stream
from tests.gateway.serving import VENDOR_KEY, Gateway, chat_request, gateway, routing


def policy(url: str, logging: str, *more: str) -> Any:
    return routing(url, *more, tiers={"interactive": {"logging": logging}})


async def ask(served: Gateway, **changes: Any) -> httpx.Response:
    headers = {"x-tollway-session": "s-1", "user-agent": "agent/1"}
    async with served.client() as client:
        return await client.post("/v1/chat/completions", json=chat_request(**changes), headers=headers)


@pytest.mark.parametrize(("logging", "told"), [("none", False), ("metadata", True), ("content", True)])
async def test_who_called_beyond_its_tenant_is_told_unless_the_policy_is_none(
    upstream: ScriptedUpstream, logging: str, told: bool
) -> None:
    async with gateway(policy(upstream.url, logging)) as served:
        await ask(served)
    (operation,), (attempt,) = served.books.operations, served.books.attempts
    assert (operation.tenant, attempt.intent.tenant) == ("acme", "acme")
    assert (operation.user_agent == "agent/1", bool(operation.session), bool(attempt.intent.session)) == (told,) * 3


@pytest.mark.parametrize("logging", ["none", "metadata"])
async def test_no_content_is_written_down_unless_the_policy_says_so(upstream: ScriptedUpstream, logging: str) -> None:
    async with gateway(policy(upstream.url, logging)) as served:
        await ask(served)
    assert "Hello." not in repr(served.books.told)
    assert "messages" not in repr(served.books.told)


async def test_content_keeps_the_prompt_before_the_call_and_the_answer_after(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer(chat("A whole answer.")))
    async with gateway(policy(upstream.url, "content")) as served:
        got = await ask(served)
    assert '"content":"Hi"' in served.books.intents[0].request_content
    (attempt,) = served.books.attempts
    assert attempt.intent == served.books.intents[0]
    assert attempt.response_content == got.text
    assert "whole answer" in attempt.response_content


async def test_of_a_stream_the_words_are_kept_and_the_client_has_every_byte(upstream: ScriptedUpstream) -> None:
    pieces = events("Hel", "lo")
    upstream.script.append(stream(*pieces))
    async with gateway(policy(upstream.url, "content")) as served:
        got = await ask(served, stream=True, stream_options={"include_usage": True})
    assert got.content == b"".join(pieces)
    expected = '{"choices":[{"content":"Hello","finish_reason":"stop","index":0}]}'
    assert served.books.attempts[0].response_content == expected


async def test_content_is_cut_and_never_within_a_character(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer(chat("ä" * CONTENT_BYTES_MAX)))
    async with gateway(policy(upstream.url, "content")) as served:
        await ask(served, messages=[{"role": "user", "content": "€" * CONTENT_BYTES_MAX}])
    (attempt,) = served.books.attempts
    for kept in (attempt.intent.request_content, attempt.response_content):
        assert CONTENT_BYTES_MAX - 4 < len(kept.encode()) <= CONTENT_BYTES_MAX


async def test_a_fallback_keeps_its_own_and_no_failures_body_is_kept(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.script.append(error(500, message="something of the vendor's own"))
    async with gateway(policy(upstream.url, "content", alternate.url)) as served:
        await ask(served)
    failed, ok = served.books.attempts
    assert (failed.response_content, "Hello." in ok.response_content) == ("", True)
    assert failed.intent.request_content == ok.intent.request_content != ""


async def test_what_looks_like_a_key_is_not_kept(upstream: ScriptedUpstream) -> None:
    upstream.script.append(answer(chat(f"Your key is {VENDOR_KEY} or sk-proj-1234567890abcd")))
    async with gateway(policy(upstream.url, "content")) as served:
        await ask(served, messages=[{"role": "user", "content": "Is sk-proj-1234567890abcd mine?"}])
    (attempt,) = served.books.attempts
    assert VENDOR_KEY not in attempt.response_content
    assert "sk-proj-1234567890abcd" not in attempt.response_content + attempt.intent.request_content
