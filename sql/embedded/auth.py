"""Who asks: name and password from a request's headers, as ClickHouse takes them. A password in a URL is refused."""

import base64
import binascii
from collections.abc import Mapping

from sql.credentials import Credentials
from sql.embedded.errors import StoreError

HOW = "give user and password by Basic authentication, or in X-ClickHouse-User and X-ClickHouse-Key"


def user_of(url: Mapping[str, str], headers: Mapping[str, str], credentials: Credentials) -> str:
    """The user whose password the request carries. Raises StoreError (401 for none, 403 for a wrong one)."""
    if "password" in url:
        raise StoreError(516, "AUTHENTICATION_FAILED", "A password in the URL ends up in logs: send it in a header")
    name, password = headers.get("x-clickhouse-user", url.get("user", "")), headers.get("x-clickhouse-key", "")
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = base64.b64decode(value, validate=True).decode("utf-8").partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise StoreError(
                516, "AUTHENTICATION_FAILED", "Authentication failed: no valid Basic header", 401
            ) from None
    if not password:
        raise StoreError(194, "REQUIRED_PASSWORD", f"Authentication failed: {HOW}")
    user = credentials.admit(name, password)
    if user is None:
        raise StoreError(516, "AUTHENTICATION_FAILED", "Authentication failed: wrong password, or no such user")
    return user
