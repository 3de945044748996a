"""Bearer keys to tenants. Keys are kept as SHA-256 digests and compared in constant time; no key is ever stored,
logged or put in an error."""

import hashlib
import hmac
from collections.abc import Iterable

from gateway.config import Tenant

PREFIX_BYTES = 8
"""How much of a digest finds the bucket. Who knows it learns nothing of a key: it is a digest's, not the key's."""


class KeyRing:
    """All keys of all tenants."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self._buckets: dict[bytes, list[tuple[bytes, Tenant]]] = {}
        for tenant in tenants:
            for digest in tenant.key_digests:
                self._buckets.setdefault(digest[:PREFIX_BYTES], []).append((digest, tenant))

    def tenant_of(self, authorization: bytes | None) -> Tenant | None:
        """The tenant whose key the `Authorization` header carries as a bearer token; None for any other header."""
        if authorization is None or authorization[:7].lower() != b"bearer ":
            return None
        digest = hashlib.sha256(authorization[7:].strip()).digest()
        found: Tenant | None = None
        for known, tenant in self._buckets.get(digest[:PREFIX_BYTES], ()):
            if hmac.compare_digest(known, digest):
                found = tenant
        return found
