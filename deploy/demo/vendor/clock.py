"""The vendor's own clock. It cannot use Tollway's: it may not know of it."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)  # noqa: TID251 - another company's computer has another clock
