"""The vendor's prompt cache: which leading part of a prompt it has read before, in whole blocks of 128 tokens.

A block counts only together with all that comes before it, so a prompt that differs in its first word shares nothing.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

BLOCK_TOKENS = 128
BLOCKS_MAX = 200_000


class PromptCache:
    """Digests of the prefixes that were seen, the least recently used of them forgotten beyond `blocks_max`."""

    def __init__(self, blocks_max: int = BLOCKS_MAX) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._blocks_max = blocks_max

    def read(self, words: Sequence[str]) -> int:
        """How many leading tokens of this prompt were cached; the prompt itself is cached from now on."""
        cached, prefix, unbroken = 0, b"", True
        for start in range(0, len(words) - BLOCK_TOKENS + 1, BLOCK_TOKENS):
            block = " ".join(words[start : start + BLOCK_TOKENS]).encode()
            prefix = blake2b(prefix + block, digest_size=16).digest()
            if prefix in self._seen:
                self._seen.move_to_end(prefix)
                cached = start + BLOCK_TOKENS if unbroken else cached
            else:
                self._seen[prefix] = None
                unbroken = False
        while len(self._seen) > self._blocks_max:
            self._seen.popitem(last=False)
        return cached
