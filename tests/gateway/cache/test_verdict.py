"""Who is answered from the cache, and whose answer is kept: over every combination that there is."""

from itertools import product
from typing import Any

import pytest

from gateway.cache.verdict import Status, Wish, keepable, verdict

MODES = ("off", "exact", "template", "read_only", "write_only")
KINDS = ("chat", "completions", "embeddings", "responses")
TEMPERATURES: tuple[Any, ...] = (None, 0, 0.0, -0.0, 0.7, 1, False, "0")
ALL = list(
    product(
        MODES, [(), ("template",), ("exact",), ("exact", "template")], KINDS, TEMPERATURES, [None, *Wish], [False, True]
    )
)


@pytest.mark.parametrize("mode", MODES)
def test_every_combination_follows_the_rules(mode: str) -> None:
    for case in (case for case in ALL if case[0] == mode):
        _, allowed, kind, temperature, wish, stored = case
        said = verdict(mode, allowed, kind, {"temperature": temperature, "store": stored}, wish)
        if mode in ("off", "template") or "exact" not in allowed:
            assert (said.status, said.look, said.keep) == (Status.OFF, False, False), case
            continue
        certain = kind == "embeddings" or (type(temperature) in (int, float) and temperature == 0)
        usable = kind != "responses" and not stored and wish is not Wish.NO_STORE and (certain or wish is Wish.USE)
        assert said.look == (usable and mode != "write_only"), case
        assert said.keep == (usable and mode != "read_only"), case
        assert said.status is (Status.MISS if said.look else Status.BYPASS), case


@pytest.mark.parametrize(
    ("status", "body", "kept"),
    [
        (200, b"x", True),
        (200, b"x" * 10, True),
        (200, b"x" * 11, False),
        (200, b"", False),
        (201, b"x", False),
        (503, b"x", False),
    ],
)
def test_only_a_plain_success_of_a_bearable_length_is_kept(status: int, body: bytes, kept: bool) -> None:
    assert keepable(status, body, 10) is kept
