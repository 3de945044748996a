"""Anthropic's words for classes of tokens, tiers and windows, the same in its API and its console."""

import re

from analytics.reconciliation.variance import OTHER
from gateway.domain.usage import TokenClass

CLASSES = {
    "uncached_input_tokens": TokenClass.INPUT_UNCACHED,
    "cache_read_input_tokens": TokenClass.CACHE_READ,
    "cache_creation.ephemeral_5m_input_tokens": TokenClass.CACHE_WRITE_5M,
    "cache_creation.ephemeral_1h_input_tokens": TokenClass.CACHE_WRITE_1H,
    "output_tokens": TokenClass.OUTPUT,
    "input_no_cache": TokenClass.INPUT_UNCACHED,
    "input_cache_read": TokenClass.CACHE_READ,
    "input_cache_write_5m": TokenClass.CACHE_WRITE_5M,
    "input_cache_write_1h": TokenClass.CACHE_WRITE_1H,
    "output": TokenClass.OUTPUT,
}
_TIERS = {"standard": "", "message": "", "messages": ""}
_EVERYWHERE = {"global", "not_available"}


def tier_of(said: str) -> str:
    """The processing tier; "" for the standard one."""
    bare = said.strip().lower()
    return _TIERS.get(bare, bare)


def region_of(said: str) -> str:
    """Where inference had to happen; "" for anywhere."""
    return "" if said.strip().lower() in _EVERYWHERE else said.strip().lower()


def window_of(said: str) -> str:
    """The context tier as the API writes it: the console's "≤ 200k" is 0-200k, and "> 200k" is 200k-1M."""
    bare = said.replace(" ", "").replace("\u00a0", "").lower()
    if bare in ("≤200k", "<=200k"):
        return "0-200k"
    return "200k-1M" if bare in (">200k", "≥200k", ">=200k", "200k-1m") else said.strip()


def model_of(name: str) -> str:
    """A model's id from the name that the console shows: "Claude Sonnet 4.5" is claude-sonnet-4-5."""
    return re.sub(r"[ .]+", "-", name.strip().lower())


def class_of(said: str, model: str, *, way_out: str) -> tuple[str, str]:
    """The token class, or "other" with the reason why."""
    token_class = CLASSES.get(said)
    if not said:
        return OTHER, f"no class of tokens: {way_out}"
    if token_class is None:
        return OTHER, f"{said!r} is not a class of tokens"
    if not model:
        return OTHER, f"no model: {way_out}"
    return token_class.value, ""
