"""What a tier's logging policy lets be written down: of `none` no session and no user agent, of `metadata` those, of
`content` prompts and answers too, each cut at CONTENT_BYTES_MAX and without anything that looks like a key.
"""

from dataclasses import replace

from gateway.config import Tier
from gateway.domain.attempt import Intent
from gateway.flow.mask import masked

CONTENT_BYTES_MAX = 32 * 1024


def keeps_content(tier: Tier) -> bool:
    """Whether prompts and answers are written down."""
    return tier.logging == "content"


def keeps_callers(tier: Tier | None) -> bool:
    """Whether it is written down who called, beyond its tenant: session and user agent. None = no tier is known."""
    return tier is None or tier.logging != "none"


def with_request(intent: Intent, body: bytes) -> Intent:
    """The intent with what the client asked."""
    return replace(intent, request_content=kept(body, b""))


def kept(body: bytes, our_key: bytes) -> str:
    """As much of a body as is written down. What is no UTF-8, or half a character at the cut, is left out."""
    return masked(body, our_key)[:CONTENT_BYTES_MAX].decode("utf-8", "ignore")
