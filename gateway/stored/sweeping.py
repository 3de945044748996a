"""Now and then: what is told again of results that nobody fetched, and forgotten of what vendors keep no more."""

import asyncio
import logging

from gateway.domain import clock
from gateway.errors import GatewayError
from gateway.stored import ledger
from gateway.stored.owners import Owners
from gateway.stored.state import StoredState

logger = logging.getLogger(__name__)

EVERY_S = 900.0
OVERDUE_S = 3600
"""A batch that ended longer ago than this, and whose results were not fetched, is told at each sweep."""
KEPT_DAYS = 90
"""How long the owner of a response is remembered; vendors keep one for about 30 days."""
SHOWN_MAX = 5


async def sweep_for_ever(owners: Owners, stored: StoredState) -> None:
    """Sweep at once and then every EVERY_S, until cancelled."""
    while True:
        try:
            await sweep(owners, stored, clock.unix_nanos())
        except GatewayError:
            logger.warning("what was never fetched could not be counted; the next sweep tries again")
        await asyncio.sleep(EVERY_S)


async def sweep(owners: Owners, stored: StoredState, now_ns: int) -> None:
    """Once. Raises OwnersUnavailable."""
    await stored.recount()
    before = now_ns - OVERDUE_S * 1_000_000_000
    overdue = await owners.ask(lambda connection: ledger.overdue(connection, before, SHOWN_MAX))
    if overdue:
        logger.warning(
            "%d batches have ended and their usage is not metered, since nobody fetched their results; among them %s",
            stored.unmetered["batch"],
            ", ".join(overdue),
        )
    kept_from = now_ns - KEPT_DAYS * 86_400 * 1_000_000_000
    forgotten = await owners.ask(lambda connection: ledger.prune(connection, kept_from))
    if forgotten:
        logger.info("the owners of %d responses older than %d days were forgotten", forgotten, KEPT_DAYS)
