"""Who sends: bearer tokens, kept as hashes, compared in constant time. No token appears in a log or an answer."""

import hashlib
import hmac
from collections.abc import Iterable

from collector.refusals import Unauthenticated
from collector.settings import Sender


class Doorkeeper:
    """Knows the senders by the SHA-256 of their tokens."""

    def __init__(self, senders: Iterable[Sender]) -> None:
        self._known = tuple((hashlib.sha256(sender.token.encode()).digest(), sender) for sender in senders)

    def admit(self, authorization: str) -> Sender:
        """The sender whose `Bearer` token that header carries. Raises Unauthenticated.

        Every known hash is compared, whichever matches, so that the time taken tells nothing.
        """
        scheme, _, token = authorization.partition(" ")
        given = hashlib.sha256(token.strip().encode("utf-8", "surrogateescape")).digest()
        found: Sender | None = None
        for known, sender in self._known:
            if hmac.compare_digest(known, given):
                found = sender
        if found is None or scheme.lower() != "bearer":
            raise Unauthenticated("a bearer token of a known sender is needed: `authorization: Bearer <token>`")
        return found
