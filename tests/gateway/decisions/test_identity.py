"""What callers name themselves by, as a vendor's account may see it."""

import re
from dataclasses import replace

import pytest

from gateway.config import Upstream
from gateway.domain.ids import TenantId, UpstreamId
from gateway.identity import Identity
from tests.gateway.serving import routing

URL = "http://h/v1"
ACME, U0 = TenantId("acme"), UpstreamId("u0")
IDS = {"prompt_cache_key": "pck", "user": "ann", "safety_identifier": "sid"}


def identity(hash_key: str = "k" * 32) -> Identity:
    return Identity(routing(URL, gateway={"hash_key": hash_key}))


SHARED = routing(URL).upstreams[U0]
OF_ACME = routing(URL, upstreams={"u0": {"tenant": "acme"}}).upstreams[U0]


def test_an_account_of_ones_own_is_told_them_as_they_are() -> None:
    assert identity().body_changes(OF_ACME, "acme", IDS) == {}
    headers = [(b"idempotency-key", b"i")]
    assert identity().headers(OF_ACME, "acme", headers) == headers


def test_so_is_every_account_where_there_is_one_tenant() -> None:
    config = routing(URL)
    alone = Identity(replace(config, tenants={ACME: config.tenants[ACME]}))
    assert alone.body_changes(SHARED, "acme", IDS) == {}


@pytest.mark.parametrize("upstream", [SHARED, OF_ACME])
def test_another_account_is_told_a_name_that_fits_a_vendor_and_means_nothing_to_it(upstream: Upstream) -> None:
    masked = identity().body_changes(upstream, "globex", IDS)
    assert masked.keys() == IDS.keys()
    for name, value in masked.items():
        assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", str(value))
        assert IDS[name] not in str(value)
    assert len(set(masked.values())) == 3


def test_the_name_is_the_same_over_restarts_and_another_for_every_tenant_value_and_key() -> None:
    names = [
        identity().keyed("acme", "user", b"ann"),
        identity().keyed("globex", "user", b"ann"),
        identity().keyed("acme", "user", b"bob"),
        identity().keyed("acme", "idempotency-key", b"ann"),
        identity("z" * 32).keyed("acme", "user", b"ann"),
    ]
    assert len(set(names)) == 5
    assert identity().keyed("acme", "user", b"ann") == names[0]


def test_without_a_key_there_is_one_that_nobody_knows() -> None:
    assert identity("").keyed("acme", "user", b"ann") != identity("").keyed("acme", "user", b"ann")


def test_what_is_no_text_stays_for_the_vendor_to_refuse() -> None:
    assert identity().body_changes(SHARED, "acme", {"user": 7, "safety_identifier": None, "prompt_cache_key": ""}) == {}


def test_two_tenants_on_one_account_cannot_meet_in_an_idempotent_request() -> None:
    headers = [(b"idempotency-key", b"1"), (b"x-own", b"kept")]
    sent = [identity().headers(SHARED, tenant, headers) for tenant in ("acme", "globex")]
    assert [line[1] for line in sent] == [(b"x-own", b"kept")] * 2
    assert sent[0][0] != sent[1][0]
    assert headers[0] == (b"idempotency-key", b"1")


def test_a_request_without_ids_costs_no_copy() -> None:
    headers = [(b"x-own", b"kept")]
    assert identity().headers(SHARED, "acme", headers) is headers
