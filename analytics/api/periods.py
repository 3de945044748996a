"""Periods with their steps and audit trail, packs, rate cards, accounts: /periods, /exports, /rate-cards, /me, ...

Whoever takes a step is whom the token says: no field of a request names an actor.
"""

import json
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

import sql
from analytics import trail
from analytics.accounts import Right, book
from analytics.accounts.book import Unauthenticated
from analytics.api.errors import Wrong
from analytics.api.finance import Acting, Installation, Reading
from analytics.api.months import Month
from analytics.api.paging import Cursor, Limit, after, page
from analytics.manifest import MANIFEST
from analytics.periods.machine import Period, Signature, Step
from analytics.rate_cards import OPEN
from analytics.rfc4180 import text_of

router = APIRouter()
TOKEN_DAYS = 0.5
"""How long a token lasts that a password was given for."""


class Taken(BaseModel):
    """What goes with a step; only opening a month again needs it."""

    reason: str = Field(default="", max_length=2000)


class Credentials(BaseModel):
    """An account's name and its password."""

    name: str = Field(max_length=100)
    password: str = Field(max_length=200)


@router.get("/periods", tags=["periods"], summary="Every month that a step was taken of")
def periods(actor: Reading, installation: Installation) -> Any:
    """Oldest first; a month that is not listed is open."""
    return {"rows": [_period(each) for each in installation.close.periods()]}


@router.get("/periods/{month}", tags=["periods"], summary="Where a month stands, and what is in its way")
def standing(month: Month, actor: Reading, installation: Installation) -> Any:
    """With its totals and the hash of its figures, both as the facts are now."""
    found = installation.close.standing(month, now=installation.clock())
    blockers = [{"kind": each.kind.value, "of": each.of, "message": each.words} for each in found.blockers]
    return _period(found.period) | {
        "blockers": blockers,
        "totals": dict(found.totals),
        "figures_sha256_now": found.figures,
    }


@router.post("/periods/{month}/{step}", tags=["periods"], summary="Take a step of the close")
def take(month: Month, step: Step, taken: Taken, actor: Acting, installation: Installation) -> Any:
    """In the name of the token's account. 409 says why not, with the list of blockers."""
    moved = installation.close.take(month, step, actor, now=installation.clock(), reason=taken.reason.strip())
    return _period(moved)


@router.get("/periods/{month}/audit", tags=["periods"], summary="Who took which step of a month, when, at which totals")
def audit(
    month: Month,
    actor: Reading,
    installation: Installation,
    limit: Limit = 200,
    after_number: Annotated[int, Query(alias="after", ge=0, description="Rows behind that number.")] = 0,
) -> Any:
    """Oldest first; each row's hash is over the row before it."""
    with installation.control.transaction() as connection:
        found = trail.entries(connection, subject=month, after=after_number, limit=limit)
    rows = [
        {
            "number": each.number,
            "at": text_of(each.at),
            "actor": each.actor,
            "action": each.action,
            "detail": each.detail,
            "hash": each.hash,
        }
        for each in found
    ]
    return {"rows": rows, "next": rows[-1]["number"] if len(rows) == limit else None}


@router.get("/exports/{month}", tags=["exports"], summary="The manifest of a month's pack")
def manifest(month: Month, actor: Reading, installation: Installation) -> Any:
    """Of a closed month what it was frozen with, of any other what the facts say now."""
    return json.loads(installation.close.pack(month, now=installation.clock()).files[MANIFEST])


@router.get("/exports/{month}/{name}", tags=["exports"], summary="A file of a month's pack, as its bytes")
def file(month: Month, name: str, actor: Reading, installation: Installation) -> Any:
    """The names are the manifest's, and manifest.json."""
    files = installation.close.pack(month, now=installation.clock()).files
    if name not in files:
        raise Wrong("not_found", f"the pack of {month} has no {name}; it has {', '.join(files)}", "name")
    kinds = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
    kind = kinds.get(name.rpartition(".")[2], "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(files[name], media_type=kind, headers=headers)


@router.get("/rate-cards", tags=["rate cards"], summary="The rate cards that the store rates by")
def rate_cards(
    actor: Reading,
    installation: Installation,
    provider: str = "",
    model: str = "",
    limit: Limit = 200,
    cursor: Cursor = "",
) -> Any:
    """Sorted by card_id; prices are text, exact, for one token. A price that is null is unknown, which is not zero.

    An effective_to of null: the card holds until another takes its place.
    """
    with installation.client() as client:
        frame = sql.fetch(client, "rate_card_current")
    rows = [
        {name: None if value == OPEN else _plain(value) for name, value in row.items()}
        for row in frame.sort("card_id").iter_rows(named=True)
        if provider in ("", row["provider"]) and model in ("", row["model"])
    ]
    return page(after(rows, ("card_id",), cursor), ("card_id",), limit)


@router.get("/me", tags=["accounts"], summary="Who the token is of, and what that account may do")
def me(actor: Acting) -> Any:
    """Tenants are null for who may see every one."""
    tenants = None if actor.tenants is None else sorted(actor.tenants)
    return {"name": actor.name, "roles": sorted(actor.roles), "rights": sorted(actor.rights), "tenants": tenants}


@router.get("/accounts", tags=["accounts"], summary="Every account with its roles")
def accounts(actor: Acting, installation: Installation) -> Any:
    """No secret is kept that could be shown."""
    actor.require(Right.ACCOUNTS)
    with installation.control.transaction() as connection:
        found = book.accounts(connection)
    return {"rows": [{"name": a.name, "roles": a.roles, "disabled_at": text_of(a.disabled_at) or None} for a in found]}


@router.post("/tokens", tags=["accounts"], summary="A token for an account's name and password; good for twelve hours")
def sign_in(given: Credentials, installation: Installation) -> Any:
    """The token is shown this once. A wrong password is told no more than that."""
    now = installation.clock()
    with installation.control.transaction() as connection:
        actor = book.sign_in(connection, given.name, given.password, now=now)
        token = book.issue(connection, actor.name, days=TOKEN_DAYS, by=actor.name, now=now) if actor else None
    if token is None:
        raise Unauthenticated("that name and password are not of an account; after five wrong ones it rests a while")
    return {"token": token, "expires_at": text_of(now + timedelta(days=TOKEN_DAYS))}


def _period(period: Period) -> dict[str, Any]:
    return {
        "month": period.month,
        "state": period.state.value,
        "revision": period.revision,
        "prepared": _signed(period.prepared),
        "reviewed": _signed(period.reviewed),
        "figures_sha256": period.figures or None,
        "closed_at": text_of(period.closed_at) or None,
        "pack_sha256": period.pack or None,
    }


def _signed(signature: Signature | None) -> dict[str, str] | None:
    return {"by": signature.by, "at": text_of(signature.at)} if signature else None


def _plain(value: object) -> object:
    return text_of(value) if isinstance(value, Decimal | datetime | date) else value
