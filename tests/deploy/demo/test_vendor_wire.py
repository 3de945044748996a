"""The vendor speaks OpenAI's wire: checked with OpenAI's own client, and on the bytes where the client hides them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.deploy.demo.vendor_process import KEY, RunningVendor

pytestmark = pytest.mark.slow

MESSAGES: Any = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "what does it cost"}]
TOOLS: Any = [
    {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {"name": "add_up", "parameters": {"type": "object", "properties": {}}}},
]


@pytest.fixture(scope="module")
def client(plain_vendor: RunningVendor) -> Iterator[openai.OpenAI]:
    with connect(plain_vendor) as connected:
        yield connected


def connect(vendor: RunningVendor, key: str = KEY) -> openai.OpenAI:
    return openai.OpenAI(api_key=key, base_url=f"{vendor.url}/v1", max_retries=0)


def test_an_answer_has_as_many_words_as_max_tokens_and_says_what_it_used(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=9)
    text, usage = answer.choices[0].message.content, answer.usage
    assert text is not None
    assert usage is not None
    assert len(text.split()) == 9
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (6, 9, 15)
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert answer.choices[0].finish_reason == "stop"


def test_a_stream_has_the_role_first_one_word_a_chunk_and_usage_last(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, max_tokens=5, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    words = [c.choices[0].delta.content for c in chunks[1:6]]
    assert [len(str(word).split()) for word in words] == [1] * 5
    assert [c.usage for c in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5


def test_usage_is_in_no_chunk_unless_it_was_asked_for(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=2, stream=True))
    assert all("usage" not in c.model_dump(exclude_unset=True) for c in chunks)


def test_running_usage_counts_up_with_every_chunk_of_content_and_not_before(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True, "continuous_usage_stats": True}
    chunks = list(
        client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, max_tokens=3, stream=True, stream_options=options
        )
    )
    used = [(c.usage.prompt_tokens, c.usage.completion_tokens) if c.usage else None for c in chunks]
    assert used == [None, (6, 1), (6, 2), (6, 3), (6, 3), (6, 3)]


def test_a_repeated_prefix_is_cached_in_blocks_of_128(client: openai.OpenAI) -> None:
    def cached(words: int) -> int:
        prompt = " ".join(f"w{i}" for i in range(words))
        answer = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": prompt}], max_tokens=1
        )
        assert answer.usage
        assert answer.usage.prompt_tokens_details
        return answer.usage.prompt_tokens_details.cached_tokens or 0

    assert [cached(300), cached(300), cached(200), cached(127), cached(900), cached(900)] == [0, 256, 128, 0, 256, 896]


def test_n_choices_are_n_answers_and_are_counted_n_times(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=4, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12


@pytest.mark.parametrize(("words", "calls"), [(1, 1), (2, 1), (4, 2), (9, 2)])
def test_tool_calls_have_arguments_that_parse_streamed_or_not(client: openai.OpenAI, words: int, calls: int) -> None:
    asked: Any = {"model": "gpt-4o-mini", "messages": MESSAGES, "tools": TOOLS, "max_tokens": words}
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.finish_reason == "tool_calls"
    expected = [(c.function.name, c.function.arguments) for c in whole.message.tool_calls or ()]
    assert len(expected) == calls
    assert all(isinstance(json.loads(arguments), dict) for _, arguments in expected)

    streamed: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(**asked, stream=True):
        for call in chunk.choices[0].delta.tool_calls or ():
            assert call.function
            if call.index not in streamed:
                assert call.id
                streamed[call.index] = [call.function.name or "", ""]
            streamed[call.index][1] += call.function.arguments or ""
    assert [name for name, _ in streamed.values()] == [name for name, _ in expected]
    assert all(isinstance(json.loads(arguments), dict) for _, arguments in streamed.values())


def test_the_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["gpt-4o-mini"]


def test_mistakes_of_the_caller_are_the_clients_error_classes(
    client: openai.OpenAI, plain_vendor: RunningVendor
) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.chat.completions.create(model="gpt-9", messages=MESSAGES)
    with pytest.raises(openai.BadRequestError, match="max_tokens"):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, max_tokens=0)
    with connect(plain_vendor, key="sk-wrong") as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)


def test_a_rate_limit_says_how_long_to_wait(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor(faults={"rate_limited": 1, "retry_after_s": 17})
    with connect(vendor) as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.response.headers["retry-after"] == "17"
    assert caught.value.code == "rate_limit_exceeded"


def test_errors_are_500_or_503(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor, seen = start_vendor(faults={"error": 1}), set()
    with connect(vendor) as client:
        for _ in range(12):
            with pytest.raises(openai.InternalServerError) as caught:
                client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
            seen.add(caught.value.status_code)
    assert seen == {500, 503}


def test_nothing_is_told_without_the_right_key(start_vendor: Callable[..., RunningVendor]) -> None:
    vendor = start_vendor(witness=False)
    assert httpx.get(f"{vendor.url}/v1/models").status_code == 401
    for path in ("/v1/organization/costs?start_time=0", "/export/cost.csv?from=2026-01-01&to=2026-01-02"):
        assert vendor.get(path, key=KEY).status_code == 401
    assert vendor.get("/_witness/ledger").status_code == 404
    assert vendor.get("/_witness/summary").status_code == 404
