"""Who shares a call, who is gathered with whom, and how a shared answer is cut up: by every short history, and by
hypothesis."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.batching.gather import Batch, Gathering, Limits
from gateway.batching.key import Inputs, inputs_of, joined, shared_key, telling
from gateway.batching.slices import Part, cut, share, share_usage
from gateway.domain.usage import UsageInvalid, from_openai

BODY: dict[str, Any] = {"model": "bulk", "input": "a", "dimensions": 8, "user": "ann"}
WHERE: dict[str, Any] = {
    "tenant": "acme", "alias": "bulk", "tier": "batch", "kind": "embeddings", "headers": b"a: b\r\n", "tokens": False,
}  # fmt: skip

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=6,
)

# Keys


def key(fields: dict[str, Any] | None = None, **changes: Any) -> bytes | None:
    return shared_key(fields=BODY if fields is None else fields, **{**WHERE, **changes})


@given(st.dictionaries(st.text("abcd", min_size=1, max_size=4), values, max_size=4), values)
def test_bodies_that_differ_in_their_input_alone_may_share(fields: dict[str, Any], other: Any) -> None:
    one = {**fields, "model": "bulk", "input": "a"}
    backwards = dict(reversed(list({**one, "input": other}.items())))
    assert key(one) == key(backwards) is not None


@given(values, values)
def test_bodies_that_differ_in_a_field_may_not(one: Any, other: Any) -> None:
    assume(json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True))
    assert key({**BODY, "x": one}) != key({**BODY, "x": other})


@pytest.mark.parametrize(
    "change",
    [{"tenant": "globex"}, {"alias": "b"}, {"tier": "t"}, {"kind": "completions"}, {"headers": b""}, {"tokens": True}],
    ids=str,
)
def test_another_tenant_alias_tier_kind_header_or_form_never_shares(change: dict[str, Any]) -> None:
    assert key(**change) != key()


def test_what_two_fields_say_together_cannot_be_said_by_others() -> None:
    assert key(tenant="a", alias="bc") != key(tenant="ab", alias="c")
    assert key(tenant="a\x001:b", alias="c") != key(tenant="a", alias="b\x001:c")


@pytest.mark.parametrize("change", [{"kind": "chat"}, {"kind": "responses"}, {"fields": {**BODY, "stream": True}}])
def test_a_chat_and_a_stream_share_with_nobody(change: dict[str, Any]) -> None:
    assert key(**change) is None


def test_headers_that_only_say_who_calls_are_left_out() -> None:
    headers = [(b"user-agent", b"x"), (b"x-stainless-retry-count", b"1"), (b"openai-beta", b"y"), (b"tracestate", b"z")]
    assert telling(headers) == [(b"openai-beta", b"y")]


# Inputs

FORMS = [
    ("ab", Inputs(("ab",), tokens=False, size=2)),
    (["ab", "é"], Inputs(("ab", "é"), tokens=False, size=4)),
    ([1, 2, 3], Inputs(([1, 2, 3],), tokens=True, size=3)),
    ([[1], [2, 3]], Inputs(([1], [2, 3]), tokens=True, size=3)),
    ([], None),
    ([[]], None),
    (["a", 1], None),
    ([1, "a"], None),
    ([True], None),
    ([[1], "a"], None),
    ({"a": 1}, None),
    (None, None),
]


@pytest.mark.parametrize(("written", "expected"), FORMS, ids=str)
def test_each_form_of_input_is_read(written: Any, expected: Inputs | None) -> None:
    assert inputs_of(written) == expected


@given(values)
def test_any_json_is_an_input_or_none(value: Any) -> None:
    inputs = inputs_of(value)
    assert inputs is None or inputs_of(joined("embeddings", BODY, [inputs])["input"]) == inputs


# Gathering

LIMITS = Limits(window_s=10, tokens_max=5, inputs_max=4, members_max=3)
STEPS = ("A small", "A large", "B small", "leave", "wait", "tick")
LENGTH = 6


def histories(length: int) -> Iterator[tuple[str, ...]]:
    if length == 0:
        yield ()
        return
    for rest in histories(length - 1):
        for step in STEPS:
            yield (*rest, step)


def test_every_short_history_of_a_gathering_keeps_its_promises() -> None:
    for history in histories(LENGTH):
        gathering: Gathering[int] = Gathering()
        now, came, waiting = 100.0, 0, {}
        for step in history:
            closed: list[Batch[int]] = []
            if step == "wait":
                now += 6
            elif step == "tick":
                closed = gathering.due(now)
                assert all(due > now for _, due in waiting_left(waiting, closed).values())
            elif step == "leave":
                who = next(iter(waiting), None)
                assert gathering.leave(-1) is False
                if who is not None:
                    assert gathering.leave(who)
                    del waiting[who]
            else:
                came += 1
                tokens = 4 if step.endswith("large") else 1
                closed = gathering.add(came, step[0], tokens=tokens, inputs=1, limits=LIMITS, now=now)
                mates = [due for who, (name, due) in waiting.items() if name == step[0] and not gone(who, closed)]
                waiting[came] = (step[0], min([*mates, now + LIMITS.window_s]))
            for batch in closed:
                assert batch.members, history
                assert {waiting.pop(who)[0] for who in batch.members} == {batch.key}, history
                assert batch.tokens == sum(tokens for tokens, _ in batch.members.values())
                assert batch.tokens <= LIMITS.tokens_max or len(batch.members) == 1, history
            assert len(gathering) == len(waiting) <= LIMITS.members_max, history
            assert gathering.next_due() == min((due for _, due in waiting.values()), default=None), history
        assert sorted(who for batch in gathering.close() for who in batch.members) == sorted(waiting), history


def gone(who: int, closed: list[Batch[int]]) -> bool:
    return any(who in batch.members for batch in closed)


def waiting_left(waiting: dict[int, tuple[str, float]], closed: list[Batch[int]]) -> dict[int, tuple[str, float]]:
    return {who: place for who, place in waiting.items() if not gone(who, closed)}


def test_a_batch_closes_its_window_after_its_first_member() -> None:
    gathering: Gathering[str] = Gathering()
    gathering.add("a", "k", tokens=1, inputs=1, limits=LIMITS, now=100)
    gathering.add("b", "k", tokens=1, inputs=1, limits=LIMITS, now=109.9)
    assert gathering.due(109.99) == []
    assert [list(batch.members) for batch in gathering.due(110)] == [["a", "b"]]


def test_tokens_close_a_batch_at_once_and_never_overfill_it() -> None:
    gathering: Gathering[str] = Gathering()
    assert gathering.add("a", "k", tokens=3, inputs=1, limits=LIMITS, now=0) == []
    first = gathering.add("b", "k", tokens=3, inputs=1, limits=LIMITS, now=1)
    second = gathering.add("c", "k", tokens=2, inputs=1, limits=LIMITS, now=2)
    assert [[list(batch.members) for batch in closed] for closed in (first, second)] == [[["a"]], [["b", "c"]]]


def test_inputs_close_a_batch_too() -> None:
    limits = Limits(window_s=10, tokens_max=0, inputs_max=4, members_max=99)
    gathering: Gathering[str] = Gathering()
    assert gathering.add("a", "k", tokens=9, inputs=3, limits=limits, now=0) == []
    closed = gathering.add("b", "k", tokens=9, inputs=2, limits=limits, now=1)
    assert [list(batch.members) for batch in closed] == [["a"]]
    closed = gathering.add("c", "k", tokens=9, inputs=2, limits=limits, now=2)
    assert [list(batch.members) for batch in closed] == [["b", "c"]]


# Slices

weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=9)


@given(st.integers(0, 10**12), weights)
def test_shares_sum_to_the_total_and_none_is_a_token_off_its_part(total: int, given_weights: list[int]) -> None:
    shares = share(total, given_weights)
    whole = sum(given_weights)
    assert sum(shares) == total
    for mine, weight in zip(shares, given_weights, strict=True):
        part = total * weight / whole if whole else total / len(given_weights)
        assert abs(mine - part) <= 1 + part * 1e-9


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    """A vendor's usage that does not contradict itself."""
    uncached, cached, written, output, reasoning = (draw(st.integers(0, 5000)) for _ in range(5))
    prompt, completion = uncached + cached + written, output + reasoning
    usage: dict[str, Any] = {"prompt_tokens": prompt, "total_tokens": prompt + completion}
    if draw(st.booleans()):
        usage["completion_tokens"] = completion
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning, "audio_tokens": 0}
    if draw(st.booleans()):
        usage["prompt_tokens_details"] = {"cached_tokens": cached, "cache_write_tokens": written, "note": None}
    return usage


@given(usages(), st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=9))
def test_a_vendors_usage_is_shared_exactly_in_every_field_and_every_token_class(
    raw: dict[str, Any], sizes: list[tuple[int, int]]
) -> None:
    shares = share_usage(raw, [prompt for prompt, _ in sizes], [written for _, written in sizes])
    assert [list(mine) for mine in shares] == [list(raw)] * len(sizes)
    for name, value in raw.items():
        columns = [mine[name] for mine in shares]
        if isinstance(value, int):
            assert sum(columns) == value  # type: ignore[arg-type]
    classes = [counts_of(mine) for mine in shares]
    assert [*map(sum, zip(*classes, strict=True))] == counts_of(raw)


def counts_of(raw: dict[str, Any]) -> list[int]:
    return [count for _, count in from_openai(raw).items()]


@given(values, weights)
def test_whatever_a_vendor_calls_usage_is_no_fault(raw: Any, sizes: list[int]) -> None:
    answer = {"data": [{"index": i} for i in range(len(sizes))], "usage": raw}
    slices = cut("embeddings", answer, [Part(1, size) for size in sizes], choices=1)
    assert slices is not None
    for one in slices:
        try:
            from_openai(one.usage or {})
        except UsageInvalid:
            continue


def test_parts_of_a_prompt_never_exceed_a_members_share_of_it() -> None:
    raw = {"prompt_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 1}}
    assert [from_openai(mine).input_total for mine in share_usage(raw, [1, 1], [0, 0])] == [1, 1]


def test_a_fraction_is_nobodys_and_a_word_is_everyones() -> None:
    shares = share_usage({"prompt_tokens": 3, "cost": 0.25, "note": "x"}, [1, 1], [0, 0])
    assert shares == [{"prompt_tokens": 2, "note": "x"}, {"prompt_tokens": 1, "note": "x"}]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.integers(1, 3), st.randoms(use_true_random=False))
def test_each_part_gets_its_own_entries_numbered_from_zero(counts: list[int], n: int, random: Any) -> None:
    entries = [{"index": i, "text": str(i)} for i in range(sum(counts) * n)]
    shuffled = random.sample(entries, len(entries))
    answer = {"id": "cmpl-1", "model": "m", "choices": shuffled}
    slices = cut("completions", answer, [Part(count, 1) for count in counts], choices=n)
    assert slices is not None
    got = [entry["text"] for one in slices for entry in one.fields["choices"]]  # type: ignore[attr-defined]
    assert got == [entry["text"] for entry in entries]
    for one, count in zip(slices, counts, strict=True):
        indexes = [entry["index"] for entry in one.fields["choices"]]  # type: ignore[attr-defined]
        assert indexes == list(range(count * n))
        assert (one.fields["id"], one.fields["model"], one.usage) == ("cmpl-1", "m", None)


@pytest.mark.parametrize(
    "entries",
    [None, [], [{"index": 0}], [{"index": 0}, {"index": 0}], [{"index": 0}, {"index": 2}], [{"index": 0}, {}],
     [{"index": 0}, {"index": [1]}], [{"index": 0}, 7], [{"index": i} for i in range(3)]],
    ids=str,
)  # fmt: skip
def test_an_answer_without_exactly_one_entry_for_each_input_is_not_cut(entries: Any) -> None:
    assert cut("embeddings", {"data": entries}, [Part(1, 1), Part(1, 1)], choices=1) is None


def test_completion_tokens_go_by_the_logprobs_where_all_have_them() -> None:
    def choice(index: int, text: str, tokens: int | None) -> dict[str, Any]:
        return {"index": index, "text": text, "logprobs": {"tokens": ["t"] * tokens} if tokens else None}

    usage = {"prompt_tokens": 2, "completion_tokens": 8}
    listed = {"choices": [choice(0, "xxxxxxxx", 2), choice(1, "x", 6)], "usage": usage}
    unlisted = {"choices": [choice(0, "xxx", 2), choice(1, "x", None)], "usage": usage}
    for answer, expected in ((listed, [2, 6]), (unlisted, [6, 2])):
        slices = cut("completions", answer, [Part(1, 1), Part(1, 1)], choices=1)
        assert [one.usage["completion_tokens"] for one in slices or () if one.usage] == expected
