"""A vendor's rate-limit headers, as they are written and as they are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.vendor_headers import RESET_S_MAX, seconds, spent_for_s

REQUESTS, TOKENS = b"x-ratelimit-remaining-requests", b"x-ratelimit-remaining-tokens"
RESET_REQUESTS, RESET_TOKENS = b"x-ratelimit-reset-requests", b"x-ratelimit-reset-tokens"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1s", 1.0), (b"6m0s", 360.0), (b"12ms", 0.012), (b"1h2m3.5s", 3723.5), (b"59.70s", 59.7), (b"1d", 86_400.0),
        (b"17", 17.0), (b"0.25", 0.25), (b" 2s ", 2.0), (b"0s", 0.0), (b"1m30s", 90.0), (b"500us", 0.0005),
    ],
)  # fmt: skip
def test_durations_are_read_as_vendors_write_them(text: bytes, value: float) -> None:
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text",
    [b"", b"s", b"-1s", b"1x", b"1 s", b"1s2", b"nan", b"inf", b"1e3", b"2026-11-23T12:00:00Z", b"1795435200",
     "١s".encode(), b"9" * 400],
)  # fmt: skip
def test_what_is_no_duration_is_none(text: bytes) -> None:
    assert seconds(text) is None


PARTS = st.lists(
    st.tuples(st.integers(0, 999), st.sampled_from(["d", "h", "m", "s", "ms"])),
    min_size=1,
    max_size=5,
)
SIZES = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@given(PARTS)
def test_the_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts).encode()
    assert seconds(text) == pytest.approx(sum(number * SIZES[unit] for number, unit in parts))


@given(st.binary(max_size=40))
def test_no_bytes_of_a_vendor_raise_or_bring_a_negative_time(text: bytes) -> None:
    for named in ({REQUESTS: b"0", RESET_REQUESTS: text}, {TOKENS: text, RESET_TOKENS: b"1s"}):
        found = spent_for_s(named)
        assert found is None or 0 <= found <= RESET_S_MAX


@pytest.mark.parametrize(
    ("named", "value"),
    [
        ({REQUESTS: b"0", RESET_REQUESTS: b"2s"}, 2.0),
        ({TOKENS: b"0", RESET_TOKENS: b"6m0s"}, 360.0),
        ({REQUESTS: b"0", RESET_REQUESTS: b"2s", TOKENS: b"0", RESET_TOKENS: b"5s"}, 5.0),
        ({REQUESTS: b"-1", RESET_REQUESTS: b"2s"}, 2.0),
        ({REQUESTS: b"0", RESET_REQUESTS: b"30d"}, RESET_S_MAX),
        ({REQUESTS: b"1", RESET_REQUESTS: b"2s"}, None),
        ({REQUESTS: b"0"}, None),
        ({REQUESTS: b"none", RESET_REQUESTS: b"2s"}, None),
        ({RESET_REQUESTS: b"2s"}, None),
        ({}, None),
    ],
)
def test_nothing_left_is_heeded_until_the_reset(named: dict[bytes, bytes], value: float | None) -> None:
    assert spent_for_s(named) == value
