import pytest

from collector.refusals import Unauthenticated
from collector.settings import CannotStart, CollectorSettings, Limits, Sender
from collector.tokens import Doorkeeper

GATEWAY = Sender(name="gateway", token="s3cret-of-the-gateway", may_name_tenants=True)
APP = Sender(name="app", token="s3cret-of-the-app", tenant="acme")


def test_a_sender_is_known_by_its_token() -> None:
    door = Doorkeeper([GATEWAY, APP])
    assert door.admit("Bearer s3cret-of-the-app") is APP
    assert door.admit("bearer s3cret-of-the-gateway") is GATEWAY


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer wrong", "Basic s3cret-of-the-app", "s3cret-of-the-app", "Bearer \udcff"]
)
def test_whoever_brings_no_known_token_stays_outside(header: str) -> None:
    with pytest.raises(Unauthenticated):
        Doorkeeper([GATEWAY, APP]).admit(header)


def test_a_token_is_not_shown() -> None:
    assert "s3cret" not in repr(APP)


@pytest.mark.parametrize(("tenant", "may_name_tenants"), [(None, False), ("acme", True)])
def test_a_sender_is_bound_to_a_tenant_or_names_them_and_never_both(tenant: str | None, may_name_tenants: bool) -> None:
    with pytest.raises(CannotStart, match="not both"):
        Sender(name="app", token="x", tenant=tenant, may_name_tenants=may_name_tenants)


@pytest.mark.parametrize(
    "senders",
    [(), (APP, Sender(name="app", token="y", tenant="a")), (APP, Sender(name="z", token=APP.token, tenant="a"))],
)
def test_senders_that_cannot_be_told_apart_are_refused_at_the_start(tmp_path, senders) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CannotStart):
        CollectorSettings(folder=tmp_path, senders=senders, store_url="http://127.0.0.1:1", secrets_dir=tmp_path)


def test_a_bound_on_bytes_in_flight_that_no_request_could_meet_is_refused_at_the_start() -> None:
    with pytest.raises(CannotStart, match="inflight_bytes_max"):
        Limits(inflight_bytes_max=1)
