"""Values of a file that nobody checked: each is taken as what it should be, or as nothing."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

COUNT_MAX = 1_000_000_000


def listed(value: object) -> list[Any]:
    """A list; anything else is an empty one."""
    return value if isinstance(value, list) else []


def mapped(value: object) -> dict[str, Any]:
    """A mapping by names; anything else is an empty one."""
    return {str(key): inner for key, inner in value.items()} if isinstance(value, Mapping) else {}


def whole(value: object) -> int | None:
    """A whole number of zero or more, as YAML or a text has it; None for anything else."""
    try:
        number = None if isinstance(value, bool) else int(str(value))
    except ValueError:
        return None
    return number if number is not None and 0 <= number <= COUNT_MAX else None


def seconds(value: object) -> float | int | None:
    """A time of up to a day; None for anything else."""
    try:
        number = float("nan") if isinstance(value, bool) else float(str(value))
    except ValueError:
        return None
    if not 0 < number <= 86_400:
        return None
    return int(number) if number.is_integer() else number


def dollars_per_million(per_token: object) -> str | None:
    """A price per token as one per million, in digits; None for what is no price."""
    try:
        price = Decimal(str(per_token)) * 1_000_000
    except InvalidOperation:
        return None
    if isinstance(per_token, bool) or not price.is_finite() or price < 0 or price > COUNT_MAX:
        return None
    exponent = price.normalize().as_tuple().exponent
    return format(price.normalize(), "f") if isinstance(exponent, int) and exponent >= -12 else None
