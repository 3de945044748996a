"""A shared answer cut up: each member gets the entries of its own inputs, numbered from 0, and its share of the usage.

Everything else in the answer (its id, its model) is each member's as it came. The vendor gives one total, so shares are
estimates: prompt tokens by the size of the inputs, completion tokens by what was written (its logprobs where given, its
bytes elsewhere), by the largest remainder, so that they sum to the vendor's figures exactly, each field by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from gateway.domain.money import allocate

LISTS = {"embeddings": "data", "completions": "choices"}
"""Where an answer of each kind has one entry per input (and choice)."""

WITHIN_PROMPT = ("cached_tokens", "cache_write_tokens", "cache_creation_tokens")
"""Parts of the prompt that exclude one another: together they never exceed it, in no share either."""


@dataclass(frozen=True, slots=True)
class Part:
    """One member of a shared call: how many inputs are its own, and how much of the prompt they are."""

    inputs: int
    size: int


@dataclass(frozen=True, slots=True)
class Slice:
    """One member's answer: the body's fields, and in them its share of the usage (None where the vendor gave none)."""

    fields: dict[str, object]
    usage: dict[str, object] | None


def cut(kind: str, answer: Mapping[str, object], parts: Sequence[Part], *, choices: int) -> list[Slice] | None:
    """The members' slices, in order; None if the answer has not exactly `choices` entries for each input."""
    name = LISTS[kind]
    entries = _in_order(answer.get(name), sum(part.inputs for part in parts) * choices)
    if entries is None:
        return None
    own: list[list[dict[str, object]]] = []
    start = 0
    for part in parts:
        count = part.inputs * choices
        own.append([{**entry, "index": i} for i, entry in enumerate(entries[start : start + count])])
        start += count
    raw = answer.get("usage")
    if not isinstance(raw, Mapping):
        return [Slice({**answer, name: mine}, None) for mine in own]
    shares = share_usage(raw, [part.size for part in parts], _written(own))
    return [Slice({**answer, name: mine, "usage": share}, share) for mine, share in zip(own, shares, strict=True)]


def share_usage(raw: Mapping[str, object], prompt: Sequence[int], completion: Sequence[int]) -> list[dict[str, object]]:
    """`raw` shared out by those weights; whole numbers sum to the vendor's, what is no number is everyone's.

    A fraction, such as a price, cannot be shared exactly and is left out.
    """
    asked = _total(raw, "prompt_tokens", "input_tokens")
    wrote = _total(raw, "completion_tokens", "output_tokens")
    asked_by = share(asked, prompt)
    wrote_by = share(wrote, completion)
    both_by = [a + w for a, w in zip(asked_by, wrote_by, strict=True)]
    shares: list[dict[str, object]] = [{} for _ in prompt]
    for name, value in raw.items():
        on_answer = name.startswith(("completion", "output"))
        weights = both_by if name.startswith("total") else wrote_by if on_answer else asked_by
        _lay(shares, name, value, weights)
    return shares


def share(total: int, weights: Sequence[int]) -> list[int]:
    """`total` by the largest remainder; equal shares where all weights are zero."""
    return [int(part) for part in allocate(Decimal(total), [Decimal(weight) for weight in weights], Decimal(1))]


def _lay(shares: Sequence[dict[str, object]], name: str, value: object, weights: Sequence[int]) -> None:
    """Give each share its part of one field."""
    if isinstance(value, Mapping):
        inner: list[dict[str, object]] = [{} for _ in shares]
        left = list(weights)
        for key, detail in value.items():
            if key in WITHIN_PROMPT and type(detail) is int:
                taken = share(detail, left)
                left = [max(0, have - gone) for have, gone in zip(left, taken, strict=True)]
                for mine, count in zip(inner, taken, strict=True):
                    mine[key] = count
            else:
                _lay(inner, key, detail, weights)
        for mine, details in zip(shares, inner, strict=True):
            mine[name] = details
    elif type(value) is int:
        for mine, count in zip(shares, share(value, weights), strict=True):
            mine[name] = count
    elif not isinstance(value, float):
        for mine in shares:
            mine[name] = value


def _in_order(entries: object, count: int) -> list[Mapping[str, object]] | None:
    """The entries by their index, if they are `count` and numbered from 0."""
    if not isinstance(entries, list) or len(entries) != count:
        return None
    by_index: dict[int, Mapping[str, object]] = {}
    for entry in entries:
        index = entry.get("index") if isinstance(entry, Mapping) else None
        if type(index) is not int:
            return None
        by_index[index] = entry
    return [by_index[i] for i in range(count)] if by_index.keys() == set(range(count)) else None


def _written(own: Sequence[Sequence[Mapping[str, object]]]) -> list[int]:
    """How much was written for each member: tokens where every choice of all lists them, else bytes."""
    listed = [[_logged(choice) for choice in choices] for choices in own]
    if all(count is not None for counts in listed for count in counts):
        return [sum(count for count in counts if count is not None) for counts in listed]
    return [sum(_bytes(choice.get("text")) for choice in choices) for choices in own]


def _logged(choice: Mapping[str, object]) -> int | None:
    logprobs = choice.get("logprobs")
    tokens = logprobs.get("tokens") if isinstance(logprobs, Mapping) else None
    return len(tokens) if isinstance(tokens, list) else None


def _bytes(text: object) -> int:
    return len(text.encode("utf-8", "replace")) if isinstance(text, str) else 0


def _total(raw: Mapping[str, object], *names: str) -> int:
    for name in names:
        value = raw.get(name)
        if type(value) is int:
            return max(0, value)
    return 0
