"""What the routes stand on: the control database, the store for reading, the close; and who is asking.

`acting` is the guard of every route: a bearer token says who it is, so a browser that is tricked into a request carries
nobody's authority. Routes run in threads, each with a client of the store for as long as it answers.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from clickhouse_connect.driver.client import Client
from fastapi import Depends, Request

from analytics.accounts import Actor, Right, book
from analytics.accounts.book import Unauthenticated
from analytics.api.held import Held
from analytics.control import Control
from analytics.periods.close import Close


@dataclass(frozen=True, slots=True)
class Finance:
    """One installation, as the API reaches it."""

    control: Control
    client: Callable[[], AbstractContextManager[Client]]
    close: Close
    clock: Callable[[], datetime]
    held: Held = field(default_factory=Held)


def finance(request: Request) -> Finance:
    """The installation that this app serves."""
    found: Finance = request.app.state.finance
    return found


Installation = Annotated[Finance, Depends(finance)]


def acting(request: Request, installation: Installation) -> Actor:
    """Who sends this request. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send `Authorization: Bearer TOKEN`; `tollway accounts token NAME` makes one")
    with installation.control.transaction() as connection:
        return book.authenticate(connection, token.strip(), now=installation.clock())


Acting = Annotated[Actor, Depends(acting)]


def reading(actor: Acting) -> Actor:
    """An actor that may read every tenant's books. Raises Forbidden."""
    actor.require(Right.READ)
    return actor


Reading = Annotated[Actor, Depends(reading)]
