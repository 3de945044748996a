"""What the file says of breakers arrives in the values that the machines decide by, each key where it acts."""

from dataclasses import asdict
from typing import Any

import pytest

from gateway.breakers.rules import PROBE_SLACK_S, rules_of
from gateway.config.policies import Breaker, Brownout, HealthWeights
from tests.gateway.serving import routing

URL = "http://127.0.0.1:9/v1"
CASES: list[tuple[str, Any, str, Any]] = [
    ("consecutive_failures", 7, "policy.failures_max", 7),
    ("failure_ratio", 0.6, "health.failure_ratio", 0.6),
    ("window_s", 17, "health.window_s", 17),
    ("window_calls", 19, "health.window_calls", 19),
    ("cooldown_s", 11, "policy.cooldown_s", 11),
    ("cooldown_max_s", 99, "policy.cooldown_max_s", 99),
    ("jitter", 0.3, "policy.jitter", 0.3),
    ("ramp_s", 13, "policy.ramp_s", 13),
    ("unhealthy_at", 0.4, "health.unhealthy_at", 0.4),
    ("health.timeouts", 0.9, "health.timeouts", 0.9),
    ("health.token_ceiling", 0.8, "health.token_ceiling", 0.8),
    ("health.memory_pressure", 0.7, "health.memory_pressure", 0.7),
    ("brownout.tenants", 1, "brownout_tenants", 1),
]
"""A key of `breaker`, a value that is not its default, and where it has to arrive."""


def flat(values: dict[str, Any], above: str = "") -> dict[str, Any]:
    """The leaves of nested mappings, by their dotted names; what each tier has is looked at apart."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{above}{name}.")
        else:
            found[above + name] = value
    return {name: value for name, value in found.items() if not name.startswith("policies.")}


def test_every_key_of_the_file_has_a_case() -> None:
    sections = {"health": HealthWeights, "brownout": Brownout}
    keys = {name for name in Breaker.model_fields if name not in sections}
    keys |= {f"{name}.{key}" for name, section in sections.items() for key in section.model_fields}
    assert {key for key, *_ in CASES} == keys


@pytest.mark.parametrize(
    ("key", "value", "where", "expected"), CASES, ids=lambda case: case if isinstance(case, str) else ""
)
def test_a_key_changes_its_own_rule_and_no_other(key: str, value: Any, where: str, expected: Any) -> None:
    section, _, inner = key.partition(".")
    given = {section: {inner: value} if inner else value}
    before, after = rules_of(routing(URL)), rules_of(routing(URL, breaker=given))
    old, new = flat(asdict(before)), flat(asdict(after))
    assert {name: new[name] for name in new if new[name] != old[name]} == {where: expected}
    same = {name: value for name, value in asdict(after.policy).items() if name != "probe_s"}
    for tier in ("interactive", "batch"):
        own = asdict(after.policy_of(tier))
        assert {name: own[name] for name in same} == same


def test_what_a_tier_promises_goes_before_what_holds_for_all() -> None:
    tiers = {"batch": {"sla": {"consecutive_failures": 3, "recovery_s": 60}, "total_timeout_s": 200}}
    rules = rules_of(routing(URL, breaker={"consecutive_failures": 7}, tiers=tiers))
    assert [rules.policy_of(tier).failures_max for tier in ("interactive", "batch", "unheard-of")] == [7, 3, 7]
    assert rules.policy_of("batch").probe_s == 200 + PROBE_SLACK_S
    assert rules.recovery_s == {"batch": 60}


def test_a_brownout_takes_no_more_tenants_than_there_are() -> None:
    assert rules_of(routing(URL, breaker={"brownout": {"tenants": 9}})).brownout_tenants == 2


def test_places_are_of_upstreams_whose_region_is_written() -> None:
    rules = rules_of(routing(URL, URL, upstreams={"u1": {"region": "eu"}}))
    assert {name: (place.provider, place.region) for name, place in rules.places.items()} == {"u1": ("openai", "eu")}
