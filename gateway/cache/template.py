"""What of a tenant's prompts stays the same, and the marks by which a vendor's own cache is told so.

A prefix is stable once it was seen before: tools and the first messages, in one alias, of one tenant. A stable head
(tools and the system's messages) gives the prompt a `prompt_cache_key`, the same all through a conversation; the
longest stable prefix gets a `cache_control` mark at its end. What a client marked itself is left as it is.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.cache.canonical import TooDeep, canonical_value

MESSAGES_MAX = 128
"""How many messages from the start are looked at."""

SEEN_MAX = 4096
"""How many prefixes are remembered for a tenant, the ones seen last."""

MARKED_BYTES_MIN = 2048
"""A shorter prefix is not marked: no vendor caches fewer than 512 tokens."""

LEADING_ROLES = ("system", "developer")
MARKED_ROLES = ("system", "developer", "user")
"""The messages whose content every vendor takes as parts. Tuples: what a client calls a role may be no text at all."""

KEY_PROVIDERS = frozenset({"openai", "azure", "azure-openai", "azure.ai.openai", "openrouter", "litellm", "deepseek"})
"""Providers that take `prompt_cache_key`. Others refuse a request with a field they do not know: Groq, Cerebras and
Google's OpenAI endpoint answer 400 or 422 (zed-industries/zed#36215, liliMozi/openhanako#2494)."""

RESPONSES_KEY_PROVIDERS = frozenset({"openai", "azure", "azure-openai", "azure.ai.openai"})
"""Those of them that take it on /v1/responses too. On /v1/completions nobody does."""

MARK_PROVIDERS = frozenset({"anthropic", "openrouter", "litellm", "dashscope", "alibaba"})
"""Providers that take `cache_control` in a message's text part on the OpenAI wire, or pass over it."""

KEPT = ("previous_response_id", "conversation", "prompt")
"""Members of a responses request that put something kept at the vendor before its input."""

CACHE_CONTROL = {"type": "ephemeral"}


@dataclass(frozen=True, slots=True)
class Stable:
    """What of a prompt was seen before."""

    head: bytes
    """The hash of tools and leading messages; b"" where that was not seen before."""
    messages: int = 0
    """How many messages the longest stable prefix has."""
    size: int = 0
    """Its canonical bytes, the tools' among them."""


NOTHING = Stable(b"")


class Prefixes:
    """The prefixes that each tenant's prompts began with lately."""

    def __init__(self) -> None:
        self._seen: dict[str, OrderedDict[bytes, None]] = {}

    def observe(self, tenant: str, alias: str, fields: Mapping[str, object]) -> Stable:
        """What of this prompt was seen before; all of it counts as seen from now on. Once for each request."""
        try:
            boundaries = _boundaries(alias, fields)
        except TooDeep:
            return NOTHING
        seen = self._seen.setdefault(tenant, OrderedDict())
        head, stable = _head_length(fields.get("messages")), NOTHING
        root = boundaries[head - 1][0] if 0 < head <= len(boundaries) else b""
        for count, (digest, size) in enumerate(boundaries, start=1):
            if digest not in seen:
                break
            stable = Stable(root if count >= head else b"", count, size)
        for digest, _ in boundaries:
            seen[digest] = None
            seen.move_to_end(digest)
        while len(seen) > SEEN_MAX:
            seen.popitem(last=False)
        return stable


def opening(fields: Mapping[str, object]) -> list[object]:
    """How the prompt of a responses request begins, as messages: its instructions, then its input. Empty where what is
    kept at the vendor stands before the input, and no instructions before that."""
    instructions, given = fields.get("instructions"), fields.get("input")
    leading: list[object] = [{"role": LEADING_ROLES[0], "content": instructions}] if instructions else []
    if any(fields.get(name) for name in KEPT):
        return leading
    return leading + (given if isinstance(given, list) else [{"role": "user", "content": given}])


def wants_key(provider: str, stable: Stable, fields: Mapping[str, object], *, responses: bool = False) -> bool:
    """Whether the upstream's copy of a chat or responses request gets a `prompt_cache_key` of the stable head."""
    takes_one = RESPONSES_KEY_PROVIDERS if responses else KEY_PROVIDERS
    return bool(stable.head) and provider in takes_one and not fields.get("prompt_cache_key")


def marked(provider: str, stable: Stable, fields: Mapping[str, object], body: bytes) -> list[object] | None:
    """The messages with the end of the stable prefix marked; None where nothing is to be marked."""
    messages = fields.get("messages")
    if provider not in MARK_PROVIDERS or stable.size < MARKED_BYTES_MIN or b'"cache_control"' in body:
        return None
    for index in reversed(range(stable.messages)):
        message = _marked_message(messages[index]) if isinstance(messages, list) else None
        if message is not None and isinstance(messages, list):
            return [*messages[:index], message, *messages[index + 1 :]]
    return None


def _marked_message(message: object) -> dict[str, object] | None:
    """The message with its last text marked; None if it has no text that could be."""
    if not isinstance(message, dict) or message.get("role") not in MARKED_ROLES:
        return None
    content = message.get("content")
    parts: list[object] = content if isinstance(content, list) else [{"type": "text", "text": content}]
    last = parts[-1] if parts else None
    if not isinstance(last, dict) or last.get("type") != "text":
        return None
    if not isinstance(last.get("text"), str) or not last["text"]:
        return None
    return {**message, "content": [*parts[:-1], {**last, "cache_control": CACHE_CONTROL}]}


def _boundaries(alias: str, fields: Mapping[str, object]) -> list[tuple[bytes, int]]:
    """For each message from the first, the hash and the size of the prompt up to its end. Raises TooDeep."""
    messages = fields.get("messages")
    tools = canonical_value([fields.get("tools"), fields.get("functions")], ordered=True)
    digest, size = hashlib.sha256(alias.encode() + b"\0" + tools).digest(), len(tools)
    found = []
    for message in messages[:MESSAGES_MAX] if isinstance(messages, list) else ():
        piece = canonical_value(message, ordered=False)
        digest, size = hashlib.sha256(digest + piece).digest(), size + len(piece)
        found.append((digest, size))
    return found


def _head_length(messages: object) -> int:
    """How many messages lead: the system's and the developer's, or the first one where there are none."""
    leading = 0
    for message in messages if isinstance(messages, Sequence) else ():
        if not isinstance(message, dict) or message.get("role") not in LEADING_ROLES:
            break
        leading += 1
    return leading or 1
