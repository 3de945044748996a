"""What callers name themselves and their requests by, as a vendor's account may see it.

An account that serves one tenant is told `prompt_cache_key`, `user`, `safety_identifier` and `Idempotency-Key` as they
were sent. On an account that tenants share each becomes a tenant-keyed HMAC: the same for the same value for as long as
the key is, different for every tenant, and of no meaning to the vendor. So two tenants can neither meet in one cache
entry nor in one idempotent request, nor learn of each other by trying.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping

from gateway.config import RoutingConfig, Upstream

BODY_IDS = ("prompt_cache_key", "user", "safety_identifier")
HEADER_ID = b"idempotency-key"
NO_CHANGES: Mapping[str, object] = {}


class Identity:
    """Names for callers' ids. `hash_key` keys them; without one, a key of this process's own."""

    def __init__(self, config: RoutingConfig) -> None:
        self._key = config.hash_key.get_secret_value().encode() or os.urandom(32)
        self._sole_tenant = len(config.tenants) == 1

    def shown(self, upstream: Upstream, tenant: str) -> bool:
        """Whether that upstream's account may see the tenant's ids as they are."""
        return self._sole_tenant or upstream.tenant == tenant

    def keyed(self, tenant: str, name: str, value: bytes) -> str:
        """The HMAC that stands for an id: 43 characters of base64url."""
        message = b"\0".join((tenant.encode(), name.encode(), value))
        digest = hmac.new(self._key, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def body_changes(self, upstream: Upstream, tenant: str, fields: Mapping[str, object]) -> Mapping[str, object]:
        """The members of a request's body that go up as something else. What is no text is the vendor's to refuse."""
        given = [name for name in BODY_IDS if name in fields]
        if not given or self.shown(upstream, tenant):
            return NO_CHANGES
        return {
            name: self.keyed(tenant, name, value.encode("utf-8", "surrogatepass"))
            for name in given
            if isinstance(value := fields[name], str) and value
        }

    def headers(self, upstream: Upstream, tenant: str, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """The client's headers as that upstream may see them."""
        if self.shown(upstream, tenant) or not any(name == HEADER_ID for name, _ in headers):
            return headers
        return [
            (name, self.keyed(tenant, HEADER_ID.decode(), value).encode() if name == HEADER_ID else value)
            for name, value in headers
        ]
