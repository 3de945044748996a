"""A configuration is one frozen value, or a list of all its faults with their places."""

from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.config import ConfigError, RoutingFile, load, load_text
from gateway.domain.ids import Alias, TenantId

GOOD = """
tenants:
  acme: {keys: ["${ACME_KEY}"], tiers: [interactive]}
tiers:
  interactive: {max_inflight: 4}
upstreams:
  openai-us: {base_url: "https://api.openai.com/v1", api_key: "${file:key}", provider: openai, account: org-main}
aliases:
  fast: {tier: interactive, targets: [{upstream: openai-us, model: gpt-4o-mini}], fallback: [{alias: slow}]}
  slow: {tier: interactive, targets: [{upstream: openai-us, model: gpt-4o}]}
rate_cards:
  - {provider: openai, model: gpt-4o-mini, effective_from: "2023-01-01T00:00:00Z",
     per_million_tokens: {input: 0.15, output: "0.60"}}
"""
ENV = {"ACME_KEY": "a-key-of-enough-length"}
SECRET = "sk-upstream-secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text(SECRET + "\n")
    return tmp_path


def faults(text: str, folder: Path, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, RoutingFile, folder=folder, env=ENV if env is None else env)
    return [str(fault) for fault in caught.value.faults]


def test_a_good_file_becomes_the_value_the_gateway_runs_on(folder: Path) -> None:
    routing = load_text(GOOD, RoutingFile, folder=folder, env=ENV).routing()
    assert routing.tenants[TenantId("acme")].key_digests == (sha256(ENV["ACME_KEY"].encode()).digest(),)
    assert routing.aliases[Alias("fast")].targets[0].model == "gpt-4o-mini"
    assert routing.client_base_url == "http://127.0.0.1:8080/v1"


def test_a_price_written_as_a_number_keeps_its_digits(folder: Path) -> None:
    text = GOOD.replace("input: 0.15", "input: 15000000.000000000001")
    card = load_text(text, RoutingFile, folder=folder, env=ENV).routing().rate_cards.cards[0]
    assert sorted(card.per_million.values()) == [Decimal("0.60"), Decimal("15000000.000000000001")]


def test_every_fault_is_told_at_once_with_its_place_and_a_way_out(folder: Path) -> None:
    text = GOOD.replace("max_inflight: 4", "max_inflight: 0, max_queu: 3").replace(
        "account: org-main", "acount: org-main"
    )
    assert faults(text, folder) == [
        "tiers.interactive.max_inflight: must be 1 or more",
        "tiers.interactive.max_queu: no such key 'max_queu'; did you mean 'max_queue'?",
        "upstreams.openai-us.account: is missing",
        "upstreams.openai-us.acount: no such key 'acount'; did you mean 'account'?",
    ]


def test_names_that_point_nowhere_are_told_with_what_was_meant(folder: Path) -> None:
    text = GOOD.replace("tiers: [interactive]", "tiers: [interactiv]").replace("{alias: slow}", "{alias: slo}")
    assert faults(text, folder) == [
        "tenants.acme.tiers[0]: no tier 'interactiv'; did you mean 'interactive'?",
        "aliases.fast.fallback[0].alias: no alias 'slo'; did you mean 'slow'?",
    ]


def test_a_missing_environment_name_is_told_by_name(folder: Path) -> None:
    assert faults(GOOD, folder, env={}) == [
        "tenants.acme.keys[0]: the environment has no ACME_KEY; set it, or write ${ACME_KEY:-default}"
    ]


def test_what_else_is_wrong_is_told_beside_names_that_are_not_set(folder: Path) -> None:
    text = GOOD.replace("max_inflight: 4", "max_inflight: 0")
    assert faults(text, folder, env={}) == [
        "tenants.acme.keys[0]: the environment has no ACME_KEY; set it, or write ${ACME_KEY:-default}",
        "tiers.interactive.max_inflight: must be 1 or more",
    ]


def test_a_missing_secret_file_is_told_by_name(tmp_path: Path) -> None:
    assert faults(GOOD, tmp_path) == [
        "upstreams.openai-us.api_key: cannot read the secret file key: No such file or directory"
    ]


def test_no_fault_repeats_a_secret(folder: Path) -> None:
    text = GOOD.replace('api_key: "${file:key}"', 'api_key: ["${file:key}"]').replace("ACME_KEY}", "SHORT}")
    told = " ".join(faults(text, folder, env={"SHORT": "tooshort"}))
    assert SECRET not in told
    assert "tooshort" not in told


def test_a_checked_file_shows_no_secret(folder: Path) -> None:
    shown = repr(load_text(GOOD, RoutingFile, folder=folder, env=ENV))
    assert SECRET not in shown
    assert ENV["ACME_KEY"] not in shown


def test_a_value_cannot_change_the_documents_shape(folder: Path) -> None:
    env = {"ACME_KEY": 'x", tiers: [], evil: "a-long-enough-key'}
    tenant = load_text(GOOD, RoutingFile, folder=folder, env=env).tenants["acme"]
    assert tenant.key_digests == (sha256(env["ACME_KEY"].encode()).digest(),)


@pytest.mark.parametrize(
    ("text", "place"),
    [("a: [1", "line 1"), ("a: 1\na: 2", "line 2, column 1: the key 'a' is written twice"), ("- 1", "not a mapping")],
)
def test_text_that_is_no_configuration_is_refused_with_its_place(text: str, place: str, folder: Path) -> None:
    assert place in faults(text, folder)[0]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml", RoutingFile)


def test_a_key_may_be_given_by_its_digest_alone(folder: Path) -> None:
    digest = sha256(ENV["ACME_KEY"].encode())
    by_digest = load_text(GOOD, RoutingFile, folder=folder, env={"ACME_KEY": f"sha256:{digest.hexdigest()}"})
    assert by_digest.tenants["acme"].key_digests == (digest.digest(),)


def test_no_key_is_kept_in_the_clear(folder: Path) -> None:
    tenant = load_text(GOOD, RoutingFile, folder=folder, env=ENV).tenants["acme"]
    assert all(ENV["ACME_KEY"] not in key.get_secret_value() for key in tenant.keys)


@pytest.mark.parametrize("key", ["short", "sha256:abcd", "sha256:" + "g" * 64])
def test_a_key_that_protects_nothing_is_refused(key: str, folder: Path) -> None:
    assert faults(GOOD, folder, env={"ACME_KEY": key})[0].startswith("tenants.acme.keys: ")


def test_one_key_cannot_name_two_tenants(folder: Path) -> None:
    text = GOOD.replace("tiers:\n", '  globex: {keys: ["${ACME_KEY}"]}\ntiers:\n', 1)
    assert "this key is also tenant 'acme'" in faults(text, folder)[0]


def test_overlapping_rate_cards_are_refused(folder: Path) -> None:
    card = GOOD[GOOD.index("  - {provider") :]
    assert "overlap" in faults(GOOD + card.replace("2023", "2024"), folder)[0]


def test_a_mode_that_does_not_exist_is_refused_rather_than_ignored(folder: Path) -> None:
    assert "cache.mode: must be 'off', 'exact'" in faults(GOOD + "cache: {mode: semantic}\n", folder)[0]


def test_a_comma_separated_name_list_is_a_ladder(folder: Path) -> None:
    text = GOOD + 'fallback: {chain: "slow, fast"}\n'
    assert load_text(text, RoutingFile, folder=folder, env=ENV).fallback.chain == ("slow", "fast")


def test_an_alias_cannot_hold_more_slots_than_its_tier_has(folder: Path) -> None:
    text = GOOD.replace("fast: {tier: interactive,", "fast: {tier: interactive, max_inflight: 5,")
    [fault] = faults(text, folder)
    assert fault.startswith("aliases.fast.max_inflight: 5 is more than the 4 slots of its tier 'interactive'")


@pytest.mark.parametrize(
    "cap", ["max_inflight_per_tenant: 5", "max_inflight_per_session: 5", "reserved_share: 0.95", "reserved_share: -0.1"]
)
def test_caps_and_reserves_that_a_tier_cannot_hold_refuse_to_start(folder: Path, cap: str) -> None:
    assert len(faults(GOOD.replace("max_inflight: 4", f"max_inflight: 4, {cap}"), folder)) == 1


def test_a_tier_that_gathers_needs_room_to_wait_in(folder: Path) -> None:
    text = GOOD.replace("{max_inflight: 4}", "{max_inflight: 4, micro_batch_ms: 20}")
    assert "max_queue is 0; give it room" in faults(text, folder)[0]
    assert load_text(text.replace("20}", "20, max_queue: 1}"), RoutingFile, folder=folder, env=ENV)


def test_a_hedge_that_could_never_be_started_is_refused_with_its_place(folder: Path) -> None:
    late = GOOD.replace("max_inflight: 4", "max_inflight: 4, total_timeout_s: 9, hedge_after_s: 9")
    assert "hedge_after_s is not less than total_timeout_s" in faults(late, folder)[0]
    own = "fast: {tiers: {interactive: {hedge_after_s: 600}}, "
    [fault] = faults(GOOD.replace("fast: {", own), folder)
    assert fault.startswith(
        "aliases.fast.tiers.interactive.hedge_after_s: not less than the tier's total_timeout_s of 600"
    )
    assert len(faults(GOOD.replace("max_inflight: 4", "max_inflight: 4, hedge_after_s: 0"), folder)) == 1
    never = GOOD.replace("fast: {", own.replace("600", "0"))
    assert load_text(never, RoutingFile, folder=folder, env=ENV)


@pytest.mark.parametrize(
    "text",
    ["a: 2026-99-99", "? [a]\n: b", "? {a: b}\n: c", "a: " + "1" * 5000, "a: 0x_", "a: " + "[" * 3000 + "]" * 3000],
)
def test_what_the_yaml_library_itself_trips_on_is_a_fault_like_any_other(text: str, folder: Path) -> None:
    assert len(faults(text, folder)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter22@h/v1", "https://hunter22@h/v1", "http://h:99999/v1", "http://h:hunter22/v1", "http://h:0/v1",
        "http://[::1/v1", "http://h/v1#hunter22", "http://h/\u6587", "http://:80/v1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("place", ["base_url", "hosts[0]"])
def test_an_address_that_nothing_can_be_sent_to_or_that_holds_a_password_is_refused_and_not_repeated(
    folder: Path, url: str, place: str
) -> None:
    good = 'base_url: "https://api.openai.com/v1"'
    text = GOOD.replace(good, f'base_url: "{url}"' if place == "base_url" else f'{good}, hosts: ["{url}"]')
    (fault,) = faults(text, folder)
    assert fault.startswith(f"upstreams.openai-us.{place}: ")
    assert "hunter22" not in fault


def with_card(more: str) -> str:
    return GOOD + "  - {provider: openai, model: m, effective_from: '2026-01-01T00:00:00Z', " + more + "}\n"


def test_a_unit_and_the_multipliers_are_multiplied_into_the_prices_exactly(folder: Path) -> None:
    factors = "[{of: region, factor: 1.1}, {of: batch, factor: 0.5}]"
    text = with_card(f"prices: {{input: '0.00125'}}, unit: 1000, multipliers: {factors}")
    card = load_text(text, RoutingFile, folder=folder, env=ENV).routing().rate_cards.cards[1]
    assert [f"{price:f}" for price in card.per_million.values()] == ["0.6875000"]
    assert (card.unit_tokens, [(one.name, str(one.factor)) for one in card.multipliers]) == (
        1000, [("region", "1.1"), ("batch", "0.5")],
    )  # fmt: skip


@pytest.mark.parametrize(("inclusive", "prompt_from"), [("true", 200_000), ("false", 200_001)])
def test_a_threshold_says_whether_it_is_itself_beyond(folder: Path, inclusive: str, prompt_from: int) -> None:
    band = f"context: {{threshold: 200000, inclusive: {inclusive}}}, per_million_tokens: {{input: 2}}"
    below = "  - {provider: openai, model: m, effective_from: '2026-01-01T00:00:00Z', per_million_tokens: {input: 1}}\n"
    cards = load_text(with_card(band) + below, RoutingFile, folder=folder, env=ENV).routing().rate_cards.cards
    assert [card.prompt_from for card in cards if card.model == "m"] == [0, prompt_from]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        (
            "prices: {input: 1}, unit: 3",
            "rate_cards[1]: rate card openai/m: 1 for 3 tokens has no exact",
        ),
        ("prices: {input: 1}, per_million_tokens: {input: 1}", "rate_cards[1]: give per_million_tokens, or prices"),
        ("per_million_tokens: {input: 1}, unit: 1000", "rate_cards[1]: unit is for prices"),
        ("per_million_tokens: {input: 1}, context: {threshold: 9}", "rate_cards[1]: openai/m@2026-01-01T00:00:00Z#"),
        (
            "per_million_tokens: {input: 1}, context: {threshold: 9, rule: graduated}",
            "rate_cards[1].context.rule: must",
        ),
    ],
)
def test_a_faulty_card_is_named_by_its_place(folder: Path, more: str, fault: str) -> None:
    assert [one for one in faults(with_card(more), folder) if one.startswith(fault)]
