"""Stable prefixes and the marks set on them."""

import copy
from typing import Any

import orjson
import pytest

from gateway.cache import template
from gateway.cache.template import KEY_PROVIDERS, MARK_PROVIDERS, MARKED_BYTES_MIN, NOTHING, Prefixes, marked, wants_key

LONG = "You are terse. " * 200


def talk(*texts: str, system: str = LONG, **more: Any) -> dict[str, Any]:
    """A conversation: the client's turn, the assistant's, and so on."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    leading = [{"role": "system", "content": system}] if system else []
    return {"model": "fast", "messages": leading + messages, **more}


def observed(prefixes: Prefixes, fields: dict[str, Any], tenant: str = "acme", alias: str = "fast") -> tuple[bool, int]:
    stable = prefixes.observe(tenant, alias, fields)
    return bool(stable.head), stable.messages


def test_a_prefix_is_stable_the_second_time_it_is_seen() -> None:
    prefixes = Prefixes()
    assert observed(prefixes, talk("a")) == (False, 0)
    assert observed(prefixes, talk("b")) == (True, 1)
    assert observed(prefixes, talk("b")) == (True, 2)


def test_along_a_conversation_the_prefix_grows_and_its_head_stays() -> None:
    prefixes = Prefixes()
    turns = [talk("a"), talk("a", "b", "c"), talk("a", "b", "c", "d", "e")]
    found = [prefixes.observe("acme", "fast", turn) for turn in turns]
    assert [one.messages for one in found] == [0, 2, 4]
    assert found[1].head == found[2].head != b""
    assert found[1].size < found[2].size


@pytest.mark.parametrize(
    "other",
    [
        talk("a", system=LONG + "!"),
        talk("a", tools=[{"type": "function", "function": {"name": "f"}}]),
        talk("a", system=""),
    ],
)
def test_another_system_message_or_other_tools_are_another_prefix(other: dict[str, Any]) -> None:
    prefixes = Prefixes()
    prefixes.observe("acme", "fast", talk("a"))
    assert observed(prefixes, other) == (False, 0)


def test_no_tenant_and_no_alias_learns_from_another() -> None:
    prefixes = Prefixes()
    prefixes.observe("acme", "fast", talk("a"))
    assert observed(prefixes, talk("a"), tenant="globex") == (False, 0)
    assert observed(prefixes, talk("a"), alias="bulk") == (False, 0)


def test_without_a_system_message_the_first_message_is_the_head() -> None:
    prefixes = Prefixes()
    first = prefixes.observe("acme", "fast", talk("a", "b", "c", system=""))
    second = prefixes.observe("acme", "fast", talk("a", "x", "y", system=""))
    assert (first, second.messages, bool(second.head)) == (NOTHING, 1, True)


def test_a_head_of_several_messages_counts_only_whole() -> None:
    prefixes = Prefixes()
    lead = {"role": "system", "content": "one"}
    prefixes.observe("acme", "fast", {"messages": [lead, {"role": "developer", "content": "two"}]})
    stable = prefixes.observe("acme", "fast", {"messages": [lead, {"role": "developer", "content": "other"}]})
    assert (stable.head, stable.messages) == (b"", 1)


@pytest.mark.parametrize("messages", [None, [], "x", ["x"], [None], [[[]]], [{"role": ["system"]}]])
def test_messages_of_no_known_form_are_no_fault(messages: object) -> None:
    prefixes = Prefixes()
    for _ in range(2):
        stable = prefixes.observe("acme", "fast", {"messages": messages})
    assert marked("openrouter", stable, {"messages": messages}, b"") is None
    deep = orjson.loads("[" * 900 + "]" * 900)
    assert prefixes.observe("acme", "fast", {"messages": [deep]}) == NOTHING


def test_prefixes_are_remembered_up_to_a_bound_and_by_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "SEEN_MAX", 10)
    prefixes = Prefixes()
    prefixes.observe("globex", "fast", talk("a"))
    for number in range(50):
        prefixes.observe("acme", "fast", talk(str(number), system=str(number)))
    assert [len(seen) for seen in prefixes._seen.values()] == [2, 10]
    assert observed(prefixes, talk("a"), tenant="globex") == (True, 2)


def stable_after(fields: dict[str, Any]) -> template.Stable:
    prefixes = Prefixes()
    prefixes.observe("acme", "fast", fields)
    return prefixes.observe("acme", "fast", fields)


@pytest.mark.parametrize("provider", [*sorted(KEY_PROVIDERS), "groq", "anthropic", "openai-compatible", ""])
def test_a_key_is_for_providers_that_take_one_and_clients_that_gave_none(provider: str) -> None:
    fields = talk("a")
    stable = stable_after(fields)
    assert wants_key(provider, stable, fields) is (provider in KEY_PROVIDERS)
    assert wants_key(provider, stable, {**fields, "prompt_cache_key": None}) is (provider in KEY_PROVIDERS)
    assert not wants_key(provider, stable, {**fields, "prompt_cache_key": "mine"})
    assert not wants_key(provider, NOTHING, fields)


def marks_of(fields: dict[str, Any], provider: str = "openrouter") -> list[int]:
    """The messages that carry a mark, by position."""
    before = copy.deepcopy(fields)
    messages = marked(provider, stable_after(fields), fields, orjson.dumps(fields))
    assert fields == before, "the client's own request is never changed"
    return [i for i, message in enumerate(messages or []) if "cache_control" in orjson.dumps(message).decode()]


@pytest.mark.parametrize("provider", [*sorted(MARK_PROVIDERS), "openai", "groq", ""])
def test_the_stable_prefixs_last_text_is_marked_where_the_provider_takes_marks(provider: str) -> None:
    assert marks_of(talk("a", "b", "c"), provider) == ([3] if provider in MARK_PROVIDERS else [])


def test_a_mark_changes_nothing_but_itself() -> None:
    fields = talk("a", "b", "c")
    messages: Any = marked("openrouter", stable_after(fields), fields, orjson.dumps(fields))
    assert messages[:3] == fields["messages"][:3]
    part = {"type": "text", "text": "c", "cache_control": {"type": "ephemeral"}}
    assert messages[3] == {"role": "user", "content": [part]}
    parts = [{"type": "image_url", "image_url": {"url": "data:"}}, {"type": "text", "text": "what?"}]
    fields = {"messages": [{"role": "system", "content": LONG}, {"role": "user", "content": parts, "name": "n"}]}
    messages = marked("openrouter", stable_after(fields), fields, orjson.dumps(fields))
    assert messages[1]["content"] == [parts[0], {**parts[1], "cache_control": {"type": "ephemeral"}}]
    assert messages[1]["name"] == "n"


@pytest.mark.parametrize(
    "last",
    [
        {"role": "assistant", "content": "said"},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "1", "content": "result"},
        {"role": "user", "content": ""},
        {"role": "user", "content": []},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"role": "user", "content": [{"type": "text", "text": ["no text"]}]},
    ],
)
def test_what_cannot_be_marked_leaves_the_mark_to_a_message_before_it(last: dict[str, Any]) -> None:
    assert marks_of({"messages": [{"role": "system", "content": LONG}, last]}) == [0]


def test_a_short_prefix_is_not_marked() -> None:
    assert marks_of(talk(system="x" * (MARKED_BYTES_MIN - 200))) == []
    assert marks_of(talk(system="x" * MARKED_BYTES_MIN)) == [0]


def test_what_the_client_marked_itself_is_left_alone() -> None:
    fields = talk("a")
    part = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}
    fields["messages"].append({"role": "user", "content": [part]})
    assert marked("openrouter", stable_after(fields), fields, orjson.dumps(fields)) is None
