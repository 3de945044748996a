"""Retry-After in all its spellings, and nothing that a vendor may write there does harm."""

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.retry_after import retry_after_s

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], 0),
        ([(b"retry-after", b"17")], 17),
        ([(b"retry-after", b"1.5")], 1.5),
        ([(b"retry-after", b"0")], 0),
        ([(b"retry-after-ms", b"250"), (b"retry-after", b"17")], 0.25),
        ([(b"retry-after-ms", b"soon"), (b"retry-after", b"17")], 17),
        ([(b"retry-after", b"Mon, 23 Nov 2026 12:00:30 GMT")], 30),
        ([(b"retry-after", b"Monday, 23-Nov-26 12:00:30 GMT")], 30),
        ([(b"retry-after", b"Mon, 23 Nov 2026 11:00:00 GMT")], 0),
        ([(b"retry-after", b"Mon, 23 Nov 2026 13:00:30 +0100")], 30),
        ([(b"retry-after", b"-5")], 0),
        ([(b"retry-after", b"inf")], 0),
        ([(b"retry-after", b"nan")], 0),
        ([(b"retry-after", b"a while")], 0),
        ([(b"x-ratelimit-reset", b"9")], 0),
    ],
)
def test_each_spelling_is_read(headers: list[tuple[bytes, bytes]], seconds: float) -> None:
    assert retry_after_s(headers, NOW) == pytest.approx(seconds)


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_whatever_a_vendor_writes_is_a_finite_time_from_now_on(exact: bytes, text: bytes) -> None:
    seconds = retry_after_s([(b"retry-after-ms", exact), (b"retry-after", text)], NOW)
    assert math.isfinite(seconds)
    assert seconds >= 0


@given(st.from_regex(rb"\A[A-Z][a-z]{2}, \d{1,3} (Jan|Nov|Xyz) \d{1,5} \d{1,3}:\d{1,3}:\d{1,3}( GMT| [+-]\d{1,6})?\Z"))
def test_a_date_that_is_none_asks_for_nothing(text: bytes) -> None:
    assert retry_after_s([(b"retry-after", text)], NOW) >= 0
