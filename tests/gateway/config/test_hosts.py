"""The hosts of a file: machines with dated rents, or all their faults at once."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
import yaml

from gateway.config import ConfigError, RoutingFile, load_text
from gateway.config.hosts import host_names
from tests.gateway.serving import settings

HERE, THERE = "http://10.0.0.5:8000/v1", "http://10.0.0.6:8000/v1"
RENT = {"effective_from": "2026-01-01T00:00:00Z", "per_hour": "0.49"}


def read(**hosts: object) -> RoutingFile:
    text = yaml.safe_dump(settings(HERE, upstreams={"u0": {"hosts": [THERE]}}, hosts=hosts))
    return load_text(text, RoutingFile, env={})


def faults(**hosts: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(**hosts)
    return [str(fault) for fault in caught.value.faults]


def test_a_host_stands_for_its_addresses_and_its_rents_follow_each_other() -> None:
    later = {"effective_from": "2026-06-01T02:00:00+02:00", "price": 2400, "residual": "240.5", "life_months": 24,
             "currency": "EUR", "usd_rate": "1.08"}  # fmt: skip
    file = read(mac={"hardware": "Mac mini M4 Pro", "addresses": [THERE], "rent": [later, RENT]})
    assert host_names(file.hosts, file.upstreams.values()) == {("u0", THERE): "mac"}
    first, second = file.hosts["mac"].host().rents
    changed = datetime(2026, 6, 1, tzinfo=UTC)
    assert (first.per_hour, first.effective_to, second.effective_from) == (Decimal("0.49"), changed, changed)
    assert (second.life_end, second.usd_rate) == (datetime(2028, 6, 1, tzinfo=UTC), Decimal("1.08"))


def test_every_fault_of_hosts_is_told_at_once_with_its_place_and_a_way_out() -> None:
    bad = [
        {"effective_from": "2026-01-01T00:00:00", "per_hour": 1, "life_hours": 5},
        {"effective_from": "2026-02-01T00:00:00Z", "price": 1, "residual": 2, "life_hours": 5, "life_months": 1},
        {"effective_from": "2026-03-01T00:00:00Z", "currency": "EUR"},
        {"effective_from": "2026-04-01T00:00:00Z", "per_hour": 1, "usd_rate": 1},
    ]
    overlapping = [{**RENT, "effective_to": "2026-03-01T00:00:00Z"}, {**RENT, "effective_from": "2026-02-01T00:00:00Z"}]
    told = faults(
        a={"upstreams": ["u0", "u1"], "rent": bad},
        b={"addresses": [HERE, "http://10.0.0.7/v1"], "rent": overlapping},
        c={"addresses": [HERE], "rent": [{**RENT, "effective_to": "2025-01-01T00:00:00Z"}]},
        d={"rent": [RENT]},
    )
    assert told == [
        "hosts.a.upstreams[0]: 'u0' has several hosts; name this one's addresses",
        "hosts.a.upstreams[1]: no upstream 'u1'; known: u0",
        "hosts.a.rent[0].effective_from: needs a time zone; write it as 2026-01-01T00:00:00Z",
        "hosts.a.rent[0]: life_hours, life_months and residual go with a price, and there is none",
        "hosts.a.rent[1]: a price is spread over a life: give life_hours or life_months; one of the two",
        "hosts.a.rent[1].residual: is more than the price, so owning it would earn money",
        "hosts.a.rent[2]: give per_hour (it is rented) or price (it is owned); one of the two",
        "hosts.a.rent[2].usd_rate: say how many dollars one EUR is booked at, such as usd_rate: 1.08",
        "hosts.a.rent[3].usd_rate: a dollar is a dollar; leave it out",
        "hosts.b.addresses[1]: no upstream has this base_url, or it among its hosts",
        "hosts.b: upstream 'u0' at this address is host 'a' already; a machine is one host",
        "hosts.b.rent: the rents from 2026-01-01T00:00:00Z and from 2026-02-01T00:00:00Z overlap; "
        "end the first (effective_to) where the second begins",
        "hosts.c: upstream 'u0' at this address is host 'a' already; a machine is one host",
        "hosts.c.rent: the rent from 2026-01-01T00:00:00Z ends before it has begun",
        "hosts.d: stands for nothing; name its upstreams, or addresses of theirs",
    ]
