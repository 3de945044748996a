"""Who may see what: loopback only, and a principal's tenants cannot be widened by asking."""

import pytest

from dashboards import access
from dashboards.access import NoAccess, Principal

GLOBEX = Principal("viewer of globex", frozenset({"globex"}))


def test_the_operator_sees_what_is_asked_and_all_when_nothing_is() -> None:
    assert access.tenants_seen(access.OPERATOR, ()) == ()
    assert access.tenants_seen(access.OPERATOR, ("acme",)) == ("acme",)


def test_a_bound_principal_sees_its_own_tenants_whatever_it_asks() -> None:
    assert access.tenants_seen(GLOBEX, ()) == ("globex",)
    assert access.tenants_seen(GLOBEX, ("globex",)) == ("globex",)


def test_a_bound_principal_that_asks_for_another_tenant_gets_nothing() -> None:
    with pytest.raises(NoAccess, match="may not see acme"):
        access.tenants_seen(GLOBEX, ("acme", "globex"))


def test_a_principal_bound_to_no_tenant_does_not_see_all_of_them() -> None:
    with pytest.raises(NoAccess, match="has no tenant yet"):
        access.tenants_seen(Principal("new", frozenset()), ())


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8050", "localhost", "LOCALHOST:8050", "::1", "[::1]:8050", "127.9.9.9"]
)
def test_these_hosts_are_this_machine(host: str) -> None:
    access.require_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "10.1.2.3:8050", "example.com", "localhost.example.com:80", "", "[::]:8050", "127.0.0.1.example.com"],
)
def test_other_hosts_are_refused_with_what_to_do_instead(host: str) -> None:
    with pytest.raises(access.NotLoopback, match=r"listen on 127\.0\.0\.1"):
        access.require_loopback(host)
