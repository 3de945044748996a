"""An operator's usual mistakes are answered in words of the file: the place, and what is to be written there."""

from pathlib import Path

import pytest

from gateway.config import ConfigError, RoutingFile, load_text
from tests.gateway.config.test_load import ENV, GOOD, SECRET

MISTAKES = [
    ("keys: [", "key: [", "tenants.acme.key: no such key 'key'; did you mean 'keys'?"),
    ('["${ACME_KEY}"]', '"${ACME_KEY}"', "tenants.acme.keys: must be a list, such as [a, b]"),
    ('"${ACME_KEY}"', '"$ACME_KEY"', "tenants.acme.keys[0]: a name of the environment is written in braces here"),
    ("  acme:", "  acme corp:", "tenants.acme corp: must be a name of letters, digits and"),
    ("acme: {", "acme: {name: a, ", "tenants: acme: no such key 'name'; an entry's name is the key"),
    ("tiers: [interactive]}", "weight: heavy}", "tenants.acme.weight: must be a whole number"),
    ("tiers: [interactive]}", "budget: 500}", "tenants.acme.budget: must be a mapping of keys to values"),
    ("max_inflight: 4", "max_inflight: 0", "tiers.interactive.max_inflight: must be 1 or more"),
    ("max_inflight: 4", "max_inflight: 1.5", "tiers.interactive.max_inflight: must be a whole number"),
    ("max_inflight: 4", "max_inflight: 4, total_timeout_s: 30s", "total_timeout_s: must be a number, without a unit"),
    ("max_inflight: 4", "max_inflight: 4, reserved_share: 1", "reserved_share: must be 0.9 or less"),
    ("max_inflight: 4", 'max_inflight: 4, streaming_required: "maybe"', "streaming_required: must be true or false"),
    ("https://api", "api", "upstreams.openai-us.base_url: must be an http:// or https:// address"),
    ("com/v1", "com/v1/chat/completions", "base_url: is a route's address; leave out /chat/completions"),
    ("com/v1", "com/v1/responses?api-version=1", "base_url: is a route's address; leave out /responses"),
    ("targets: [{upstream: openai-us, model: gpt-4o}]", "targets: {upstream: openai-us}", "must be a list"),
    ("{alias: slow}", "slow", "aliases.fast.fallback[0]: must be {upstream: NAME, model: NAME} or {alias: NAME}"),
    ("{alias: slow}", "{alias: slow, model: x}", "aliases.fast.fallback[0].model: a rung names an upstream and"),
    ("input: 0.15", "input: -1", "rate_cards[0].per_million_tokens.input: must be 0 or more"),
    ('"2023-01-01T00:00:00Z"', "yesterday", "effective_from: must be a date with its time and zone, such as"),
    ("\nrate_cards", "\nmodel_list: []\nrate_cards", "model_list: no such key 'model_list'; a LiteLLM file"),
    ("\nrate_cards", "\ncontrol: {url: 'mysql://u:pw@h/x'}\nrate_cards", "control.url: must be postgresql+psycopg://"),
    ("\nrate_cards", "\ngateway: {listen: 127.0.0.1}\nrate_cards", "gateway.listen: must be a host and a port"),
    ("\nrate_cards", "\ngateway: {listen: 8080}\nrate_cards", "gateway.listen: must be text; put it in quotes"),
    ("\nrate_cards", "\ncache: {mode: on}\nrate_cards", "cache.mode: must be 'off', 'exact'"),
    ("\ntiers", "\n\ttiers", "indent with spaces, not tabs"),
    ("  acme: {", "   globex: 1\n  acme: {", "this line is indented otherwise than its neighbours"),
]  # fmt: skip


def faults(text: str, folder: Path) -> list[str]:
    (folder / "key").write_text(SECRET)
    with pytest.raises(ConfigError) as caught:
        load_text(text, RoutingFile, folder=folder, env=ENV)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(("right", "wrong", "told"), MISTAKES)
def test_a_usual_mistake_is_told_with_its_place_and_what_to_write(
    right: str, wrong: str, told: str, tmp_path: Path
) -> None:
    assert right in GOOD
    found = faults(GOOD.replace(right, wrong, 1), tmp_path)
    assert any(told in fault for fault in found), found
    assert "Input should" not in " ".join(found)


def test_a_list_is_not_called_empty_because_its_entry_has_a_fault(tmp_path: Path) -> None:
    text = GOOD.replace("targets: [{upstream: openai-us, model: gpt-4o}]", "targets: [{model: gpt-4o}]")
    assert faults(text, tmp_path) == ["aliases.slow.targets[0].upstream: is missing"]


def test_a_bare_off_which_yaml_reads_as_false_is_the_cache_mode_off(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    assert load_text(GOOD + "cache: {mode: off}\n", RoutingFile, folder=tmp_path, env=ENV).cache.mode == "off"
