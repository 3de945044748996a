"""Moments as the command line writes them: an age such as 30d, 12h or 45m, or a date or time in UTC."""

import re
from datetime import UTC, datetime, timedelta

import typer

_AGE = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def moment(text: str, now: datetime) -> datetime:
    """That moment. Raises typer.BadParameter."""
    if found := _AGE.fullmatch(text):
        return now - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no age (30d, 12h, 45m), date or time (2026-11-01)") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
