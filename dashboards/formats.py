"""Numbers in words: money, counts, shares, changes and ages, the same on every page.

Three states stay apart: zero is `$0.00`, unknown is `unknown`, and an amount below a cent keeps two significant digits,
so that nothing that costs something ever reads as nothing. Amounts are Decimal to the last digit until they are text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from gateway.domain.money import plain

UNKNOWN = "unknown"
NOTHING_BEFORE = "nothing to compare"
MINUS = "\N{MINUS SIGN}"
_CENT = Decimal("0.01")
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}


@dataclass(frozen=True, slots=True)
class Style:
    """How the amounts of one view are written: their currency, and the decimals they all have."""

    currency: str = "USD"
    places: int = 2

    @classmethod
    def fitting(cls, largest: Decimal, currency: str = "USD") -> Style:
        """Cents; four decimals where the largest amount is under one, so that its parts are seen to add up to it."""
        return cls(currency, 4 if 0 < abs(largest) < 1 else 2)

    def money(self, amount: Decimal | None) -> str:
        """`$1,234.50`, `$0.0042`, `−$3.10`; None is `unknown`. A currency without a symbol here leads with its code."""
        if amount is None:
            return UNKNOWN
        sign = MINUS if amount < 0 else ""
        symbol = _SYMBOLS.get(self.currency.upper(), f"{self.currency.upper()} ")
        return f"{sign}{symbol}{_digits(abs(amount), self.places)}"

    def signed(self, amount: Decimal | None) -> str:
        """As `money`, with a plus where it is one: for differences."""
        return f"+{self.money(amount)}" if amount is not None and amount > 0 else self.money(amount)


CENTS = Style()


def exact(amount: Decimal | None) -> str:
    """Every digit, no exponent, no trailing zeros: what a test, a tooltip and a CSV compare. None is empty."""
    return "" if amount is None else plain(amount)


def count(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}".replace("-", MINUS)


def share(part: Decimal | None, whole: Decimal | None) -> str:
    """A percentage, or an en dash where there is nothing to divide by."""
    if part is None or not whole:
        return "–"
    percent = part / whole * 100
    if 0 < abs(percent) < _CENT * 10:
        return "<0.1 %"
    return f"{percent:,.1f} %".replace("-", MINUS)


def change(now: Decimal | None, before: Decimal | None) -> str:
    """`+12.4 %`, `−3.0 %`, `no change`, or `nothing to compare` when the earlier figure is zero or unknown."""
    if now is None or not before:
        return NOTHING_BEFORE
    percent = ((now - before) / abs(before) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
    if not percent:
        return "no change"
    return f"{'+' if percent > 0 else MINUS}{abs(percent):,} %"


def ago(moment: datetime, now: datetime) -> str:
    """`just now`, `4 min ago`, `2 h 5 min ago`, `3 days ago`."""
    seconds = int((now - moment).total_seconds())
    if seconds < 60:
        return "just now"
    minutes, hours = seconds // 60 % 60, seconds // 3600
    if hours >= 48:
        return f"{hours // 24} days ago"
    if hours:
        return f"{hours} h {minutes} min ago"
    return f"{minutes} min ago"


def stamp(moment: datetime, now: datetime) -> str:
    """`14:02:11 UTC` today, `22 Nov 14:02 UTC` otherwise."""
    moment = moment.astimezone(UTC)
    if moment.date() == now.astimezone(UTC).date():
        return f"{moment:%H:%M:%S} UTC"
    year = "" if now - moment < timedelta(days=300) else f"{moment:%Y} "
    return f"{moment.day} {moment:%b} {year}{moment:%H:%M} UTC"


def plural(number: int, one: str, many: str = "") -> str:
    """`1 attempt`, `2 attempts`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def _digits(amount: Decimal, places: int) -> str:
    if not amount:
        return "0.00"
    least = Decimal(1).scaleb(-places)
    if amount < least:
        small = amount.quantize(Decimal(1).scaleb(amount.adjusted() - 1), ROUND_HALF_UP)
        if small < least:
            return f"{small:f}"
    return f"{amount.quantize(least, ROUND_HALF_UP):,f}"
