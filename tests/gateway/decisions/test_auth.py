"""Keys to tenants."""

import pytest

from gateway.auth import KeyRing
from gateway.config import Tenant

RING = KeyRing([Tenant(name="acme", keys=("a" * 16, "b" * 16)), Tenant(name="globex", keys=("c" * 16,))])


@pytest.mark.parametrize(("key", "name"), [("a" * 16, "acme"), ("b" * 16, "acme"), ("c" * 16, "globex")])
@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_a_key_names_its_tenant(key: str, name: str, scheme: str) -> None:
    tenant = RING.tenant_of((scheme + key).encode())
    assert tenant is not None
    assert tenant.name == name


@pytest.mark.parametrize(
    "header", [None, b"", b"Bearer", b"Bearer ", b"Bearer " + b"d" * 16, b"Basic " + b"a" * 16, b"a" * 16]
)
def test_anything_else_names_nobody(header: bytes | None) -> None:
    assert RING.tenant_of(header) is None


def test_no_key_is_kept() -> None:
    assert ("a" * 16).encode() not in repr(vars(RING)).encode()
