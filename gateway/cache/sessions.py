"""What tells one session from another, for who wants to serve it where it was served before.

Every key has the tenant in it: two tenants' sessions are never one, whatever they are called.
"""

import hashlib
from collections.abc import Mapping

from gateway.cache.canonical import TooDeep, prompt_start

HEADER = b"x-tollway-session"
FIELDS = ("prompt_cache_key", "user")
"""Of the body, in this order, where the header is missing."""


def session_key(tenant: str, named: Mapping[bytes, bytes], fields: Mapping[str, object], size: int) -> bytes | None:
    """The session's key: of the header, of `prompt_cache_key`, of `user`, or else of the prompt's first `size` bytes.

    None for a prompt that has no canonical form.
    """
    if header := named.get(HEADER):
        return _digest(tenant, "header", header)
    for name in FIELDS:
        value = fields.get(name)
        if isinstance(value, str) and value:
            return _digest(tenant, name, value.encode())
    return prefix_key(tenant, fields, size)


def prefix_key(tenant: str, fields: Mapping[str, object], size: int) -> bytes | None:
    """The key of the prompt's first `size` canonical bytes; None for a prompt that has none."""
    try:
        return _digest(tenant, "prefix", prompt_start(fields, size))
    except TooDeep:
        return None


def _digest(tenant: str, kind: str, value: bytes) -> bytes:
    owner = tenant.encode()
    return hashlib.sha256(b"%d:%b%b:%b" % (len(owner), owner, kind.encode(), value)).digest()
