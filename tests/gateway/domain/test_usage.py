"""A vendor's usage becomes disjoint classes, or is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.usage import TokenClass, Usage, UsageInvalid, from_openai


def test_cached_tokens_are_counted_once() -> None:
    usage = from_openai({"prompt_tokens": 100, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 64}})
    assert usage == Usage(input_uncached=36, cache_read=64, output=7)


def test_reasoning_tokens_are_counted_once() -> None:
    usage = from_openai(
        {"prompt_tokens": 3, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 40}}
    )
    assert usage == Usage(input_uncached=3, output=10, reasoning=40)


def test_the_responses_dialect_is_read_the_same_way() -> None:
    usage = from_openai(
        {"input_tokens": 20, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 4}}
    )
    assert usage == Usage(input_uncached=8, cache_read=8, cache_write_5m=4, output=5)


@given(uncached=st.integers(0, 10**9), cached=st.integers(0, 10**9), output=st.integers(0, 10**9))
def test_classes_sum_to_what_the_vendor_counted(uncached: int, cached: int, output: int) -> None:
    raw = {
        "prompt_tokens": uncached + cached,
        "completion_tokens": output,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    usage = from_openai(raw)
    assert sum(count for _, count in usage.items()) == uncached + cached + output
    assert (usage.input_total, usage.output_total) == (uncached + cached, output)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 6}}, "exceed prompt_tokens 5"),
        ({"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}}, "exceed completion_tokens 5"),
        ({"prompt_tokens": -1}, "prompt_tokens is -1"),
        ({"prompt_tokens": 10**12 + 1}, "prompt_tokens is 1000000000001"),
        ({"prompt_tokens": 1.5}, "prompt_tokens is 1.5"),
        ({"prompt_tokens": True}, "prompt_tokens is True"),
        ({"prompt_tokens": "12"}, "prompt_tokens is '12'"),
    ],
)
def test_usage_that_contradicts_itself_is_refused(raw: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageInvalid, match=problem):
        from_openai(raw)


def test_every_class_has_a_field() -> None:
    assert [token_class for token_class, _ in Usage().items()] == list(TokenClass)


def test_what_is_written_to_a_cache_for_an_hour_is_told_apart_where_the_answer_does() -> None:
    """LiteLLM's split, in the stream's last chunk as in a whole answer."""
    details = {"cache_creation_tokens": 50, "cache_creation_token_details": {"ephemeral_1h_input_tokens": 30}}
    usage = from_openai({"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": details})
    assert usage == Usage(input_uncached=50, cache_write_5m=20, cache_write_1h=30, output=1)
    details["cache_creation_tokens"] = 29
    with pytest.raises(UsageInvalid, match="ephemeral_1h_input_tokens 30 exceed cache_write_tokens 29"):
        from_openai({"prompt_tokens": 100, "prompt_tokens_details": details})


def test_tokens_that_are_no_text_mark_the_usage_and_are_counted_once() -> None:
    """They overlap with the cached ones and with the whole; what they cost apart is the card's to say."""
    usage = from_openai({
        "prompt_tokens": 100, "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 60, "image_tokens": 80, "audio_tokens": 0},
        "completion_tokens_details": {"audio_tokens": 9},
    })  # fmt: skip
    assert usage == Usage(input_uncached=40, cache_read=60, output=9, modality="audio+image")
