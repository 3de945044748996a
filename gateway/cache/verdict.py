"""Whether an answer may come from the gateway's own cache, and whether it may be kept there: a pure decision.

A cache that answers must not change what the caller would have got, so only answers without chance in them are used
(temperature 0, or embeddings), or those whose caller asked for it (`x-tollway-cache: use`). Requests that do something
at the vendor besides answering (`store`, and all of the responses route) pass by.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

HEADER = "x-tollway-cache"
CHAT, COMPLETIONS, EMBEDDINGS = "chat", "completions", "embeddings"
CACHEABLE = frozenset({CHAT, COMPLETIONS, EMBEDDINGS})


class Status(StrEnum):
    """What the cache said of a request; the word in the header, on spans and in metrics."""

    HIT = "hit"
    """Answered from the cache."""
    MISS = "miss"
    """Looked for, and not there."""
    BYPASS = "bypass"
    """The cache is on, but was not asked."""
    OFF = "off"
    """No answers are kept for this request's tier, or at all."""


class Wish(StrEnum):
    """What a caller may say in `x-tollway-cache`."""

    USE = "use"
    """Take a kept answer although there is chance in it."""
    NO_STORE = "no-store"
    """Neither take nor keep one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do: look, keep, both or neither; and what the request's status is unless it turns out a hit."""

    status: Status
    look: bool = False
    keep: bool = False


OFF = Verdict(Status.OFF)
BYPASS = Verdict(Status.BYPASS)
VERDICTS = {
    "exact": Verdict(Status.MISS, look=True, keep=True),
    "read_only": Verdict(Status.MISS, look=True),
    "write_only": Verdict(Status.BYPASS, keep=True),
}
"""By mode, for a request whose answer may be used again."""


def verdict(mode: str, allowed: Collection[str], kind: str, fields: Mapping[str, object], wish: Wish | None) -> Verdict:
    """The verdict on a request under `mode`; `allowed` is its tier's cache_allowed, `wish` its caller's."""
    if mode not in VERDICTS or "exact" not in allowed:
        return OFF
    if wish is Wish.NO_STORE or kind not in CACHEABLE or fields.get("store"):
        return BYPASS
    if wish is Wish.USE or kind == EMBEDDINGS or _certain(fields.get("temperature")):
        return VERDICTS[mode]
    return BYPASS


def _certain(temperature: object) -> bool:
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0


def keepable(status: int, body: bytes, answer_bytes_max: int) -> bool:
    """Whether an answer that ended well is one to keep: a plain success that is not too long."""
    return status == 200 and 0 < len(body) <= answer_bytes_max
