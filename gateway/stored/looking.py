"""Asking a vendor after many stored objects of one tenant, a few at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from gateway.errors import GatewayError
from gateway.stored.call import Call
from gateway.stored.ledger import Owned

AT_ONCE = 8

Look = Callable[[Owned], Awaitable[Owned | None]]


async def looked_at(call: Call, rows: Iterable[Owned], look: Look) -> list[Owned]:
    """What `look` makes of each, in their order, without those of which it makes None. Raises the first GatewayError,
    once all have been looked at."""
    few = asyncio.Semaphore(AT_ONCE)

    async def one(row: Owned) -> Owned | GatewayError | None:
        async with few:
            try:
                return await look(row)
            except GatewayError as error:
                return error

    found = await asyncio.gather(*(one(row) for row in rows))
    call.upstream = ""
    for result in found:
        if isinstance(result, GatewayError):
            raise result
    return [row for row in found if isinstance(row, Owned)]
