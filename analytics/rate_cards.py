"""The store's copy of the rate cards: all of them at once, so that no query ever sees half a price list."""

from collections.abc import Sequence
from datetime import datetime

from clickhouse_connect.driver.client import Client

from gateway.domain.rate_card import RateCard


def load(client: Client, cards: Sequence[RateCard], *, now: datetime) -> int:
    """Make the store's rate cards exactly `cards`; returns how many there are.

    A staged table is filled and exchanged for the live one in one step. The same cards again change nothing. Raises
    RateCardInvalid when two of them would be in force at once.
    """
    raise NotImplementedError
