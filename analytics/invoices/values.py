"""Single values of an invoice file, read strictly: amounts and counts in Decimal to the last digit, whole UTC days.

Each function raises ValueBad with a sentence; the reader that called it knows the place.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal

from analytics.invoices.errors import ValueBad

CURRENCY = "USD"
DAY_SECONDS = 86_400
YEAR_FIRST, YEAR_END = 2015, 2200
DIGITS_MAX = 60
"""Digits an amount may have; sums of a file then stay exact."""
DOUBLE_DIGITS = 15
"""Significant digits a binary double holds for certain; JSON numbers with more are a double's print."""
PADDING_PLACES = 18
"""Amounts printed with more decimals than this are padded: the dashboard's CSV prints thirty."""

_NUMBER = re.compile(r"[+-]?(\d+|\d{1,3}(,\d{3})+)(\.\d+)?([eE][+-]?\d{1,3})?", re.ASCII)
_ABSENT = frozenset({"", "null", "none"})


def absent(text: str) -> bool:
    """Whether a field says nothing: empty, or the bare word that some tools write for nothing."""
    return text.strip().lower() in _ABSENT


def decimal_of(text: str) -> Decimal:
    """An exact number; thousands commas are allowed where they are whole groups of three (1,234.56)."""
    bare = text.strip()
    if not _NUMBER.fullmatch(bare):
        raise ValueBad(f"{text[:40]!r} is not a number such as 1234.56")
    number = Decimal(bare.replace(",", ""))
    if len(f"{number:f}") > DIGITS_MAX:
        raise ValueBad(f"{text[:40]!r} has more than {DIGITS_MAX} digits")
    return number


def count_of(text: str) -> Decimal:
    """A quantity of zero or more."""
    number = decimal_of(text)
    if number < 0:
        raise ValueBad(f"{text[:40]!r} is negative")
    return number


def currency_of(text: str) -> str:
    """The currency, which has to be US dollars: cards and metered costs are in dollars, and no rate is assumed."""
    if text.strip().upper() != CURRENCY:
        raise ValueBad(f"the currency is {text[:10]!r}; only amounts in {CURRENCY} can be reconciled")
    return CURRENCY


def instant_of(text: str, *, zone: tzinfo = UTC, form: str = "") -> datetime:
    """A moment in UTC. `zone` is that of a text which names none; `form` is strptime's, "" = ISO 8601."""
    bare = text.strip().removesuffix(" UTC")
    try:
        found = datetime.strptime(bare, form) if form else datetime.fromisoformat(bare)  # noqa: DTZ007 - zone below
    except ValueError as error:
        shown = form or "2026-11-30, 2026-11-30 12:00:00 or 2026-11-30T12:00:00Z"
        raise ValueBad(f"{text[:40]!r} is not a time such as {shown}") from error
    if not YEAR_FIRST <= found.year < YEAR_END:
        raise ValueBad(f"{text[:40]!r} is not a time of a bill")
    given = UTC if bare != text.strip() else zone
    return (found if found.tzinfo else found.replace(tzinfo=given)).astimezone(UTC)


def moment_of(seconds: int) -> datetime:
    """A moment given in Unix seconds."""
    try:
        found = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        found = datetime.fromtimestamp(0, UTC)
    if not YEAR_FIRST <= found.year < YEAR_END:
        raise ValueBad(f"{seconds} is not a time in Unix seconds")
    return found


def day_of(start: int, end: int) -> date:
    """The UTC day of a bucket given in Unix seconds."""
    since = moment_of(start)
    if start % DAY_SECONDS or end - start != DAY_SECONDS:
        until = since + timedelta(seconds=max(0, min(end - start, 400 * DAY_SECONDS)))
        raise ValueBad(
            f"the bucket from {since:%Y-%m-%dT%H:%M:%SZ} to {until:%Y-%m-%dT%H:%M:%SZ} is not one whole UTC day; "
            "export the costs by day, in UTC"
        )
    return since.date()


def places(number: Decimal) -> int:
    """Decimal places as written: 2 for 0.10."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def is_double(number: Decimal) -> bool:
    """Whether a JSON number has more digits than a double holds for certain, so that its tail is the double's noise."""
    return len(number.normalize().as_tuple().digits) > DOUBLE_DIGITS


def meant_places(number: Decimal) -> int:
    """Decimal places of a double's print that carry meaning: those of its first fifteen significant digits."""
    return max(0, DOUBLE_DIGITS - 1 - number.adjusted())
