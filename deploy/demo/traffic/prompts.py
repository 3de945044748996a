"""Prompts of a given length, one word a token: a tenant's own beginning, then words of no meaning.

Each tenant's requests begin alike, as those of one application do, so a vendor's prompt cache has something to find.
"""

from functools import cache
from random import Random

SHARED_WORDS = 640
"""How much of a tenant's prompts is the same, where they are long enough."""

_SYLLABLES = ("ta", "ro", "mi", "ku", "sel", "dan", "vor", "lin", "pe", "gro", "ash", "oth")
_CORPUS_WORDS = 32_768


@cache
def _corpus(seed: str) -> list[str]:
    random = Random(seed)
    return ["".join(random.choices(_SYLLABLES, k=random.randint(1, 3))) for _ in range(_CORPUS_WORDS)]


@cache
def _shared(tenant: str, alias: str) -> list[str]:
    return _corpus("shared")[Random(f"{tenant}/{alias}").randrange(_CORPUS_WORDS - SHARED_WORDS) :][:SHARED_WORDS]


def prompt(tenant: str, alias: str, words: int, seed: int) -> tuple[str, str]:
    """A system prompt and a user prompt of `words` words together; the same arguments give the same text."""
    beginning = _shared(tenant, alias)[: words // 2]
    left = words - len(beginning)
    start = Random(seed).randrange(max(1, _CORPUS_WORDS - left))
    return " ".join(beginning), " ".join(_corpus("text")[start : start + left])
