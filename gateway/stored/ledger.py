"""The table of owners: what a vendor keeps, for which tenant, where it lives, and whether its usage is on the books.

A vendor's id is unique only within one of its accounts, so the key is kind, upstream and id. Should a vendor give an id
out a second time, to another tenant, the row ends up with no owner (tenant ""): nobody can name it any more.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Row,
    String,
    Table,
    Text,
    delete,
    func,
    select,
    update,
)

from gateway.control.database import METADATA
from gateway.stored.naming import Stored

NOBODY = ""
"""The tenant of a contested id."""
ID_MAX = 256
"""Characters of an id; a vendor's ids have 30 to 70."""


def storable(id_: str) -> bool:
    """Whether there can be an id like that in the table and in a path: PostgreSQL keeps no NUL in a text, and clients
    resolve dots."""
    return 0 < len(id_) <= ID_MAX and "\0" not in id_ and id_ not in (".", "..")


PERISHABLE = (Stored.RESPONSE, Stored.ITEM, Stored.CONTAINER)
"""Vendors let go of these by themselves after some weeks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One stored object. Times are Unix nanoseconds; None = has not happened."""

    kind: Stored
    upstream: str
    id: str
    tenant: str
    provider: str
    account: str
    created_ns: int
    """When it was recorded here."""
    alias: str = ""
    tier: str = ""
    model: str = ""
    """The vendor's name of the alias's model there; of a file, only where its lines were checked to name that alias."""
    purpose: str = ""
    """Of a file, as the vendor has it."""
    parent: str = ""
    """Of a batch its input file, of a batch's results the batch, of an item its response."""
    trace_id: str = ""
    span_id: str = ""
    """The operation that made it: the parent of what is metered of it."""
    object: str = ""
    """The vendor's JSON of it as last seen; "" = not seen, or not kept."""
    expires_s: int | None = None
    """Unix seconds; the vendor deletes it then."""
    done_ns: int | None = None
    """Of a batch, when it was first seen to have ended."""
    metered_ns: int | None = None
    """When all its usage was on the books."""
    metered_to: int = 0
    """Of a batch's results, the bytes whose lines are on the books."""
    fallback_depth: int = 0
    """Of a response, the rung that made it,"""
    fallback_reason: str = ""
    """and why that rung was taken."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What the table knows it by."""
        return self.kind, self.upstream, self.id


OWNERS = Table(
    "owners",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("upstream", String(128), primary_key=True),
    Column("id", String(ID_MAX), primary_key=True),
    Column("tenant", String(128), nullable=False),
    Column("provider", String(128), nullable=False),
    Column("account", String(128), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("alias", String(128), nullable=False),
    Column("tier", String(128), nullable=False),
    Column("model", String(256), nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("parent", String(ID_MAX), nullable=False),
    Column("trace_id", String(32), nullable=False),
    Column("span_id", String(16), nullable=False),
    Column("object", Text, nullable=False),
    Column("expires_s", BigInteger),
    Column("done_ns", BigInteger),
    Column("metered_ns", BigInteger),
    Column("metered_to", BigInteger, nullable=False),
    Column("fallback_depth", BigInteger, nullable=False),
    Column("fallback_reason", String(64), nullable=False),
    Index("owners_by_tenant", "tenant", "kind", "created_ns", "id"),
    Index("owners_by_id", "id"),
)
COLUMNS = tuple(field.name for field in fields(Owned))


def claim(connection: Connection, rows: Iterable[Owned]) -> list[Owned]:
    """Record each as its tenant's, and of those that are already, that they are metered; those that are another's are
    returned, and are nobody's from now on."""
    contested = []
    for row in rows:
        found = connection.execute(select(OWNERS.c.tenant).where(*_is(row))).scalar_one_or_none()
        if found is None:
            connection.execute(OWNERS.insert().values(asdict(row)))
        elif found != row.tenant:
            connection.execute(update(OWNERS).where(*_is(row)).values(tenant=NOBODY))
            contested.append(row)
        elif row.metered_ns is not None:
            unmetered = OWNERS.c.metered_ns.is_(None)
            connection.execute(update(OWNERS).where(*_is(row), unmetered).values(metered_ns=row.metered_ns))
    return contested


def find(connection: Connection, tenant: str, kind: Stored, ids: Sequence[str]) -> dict[str, Owned]:
    """The tenant's own among those ids. Of an id that two upstreams gave it, the newer."""
    query = select(OWNERS).where(OWNERS.c.id.in_(ids), OWNERS.c.kind == kind, OWNERS.c.tenant == tenant)
    return {row.id: row for row in map(_owned, connection.execute(query.order_by(OWNERS.c.created_ns)))}


def page(
    connection: Connection, tenant: str, kind: Stored, *, after: Owned | None, limit: int, newest_first: bool,
    purpose: str, now_s: int,
) -> list[Owned]:  # fmt: skip
    """The tenant's own of that kind in order of creation, `limit` at most, from the one behind `after` on."""
    order = (OWNERS.c.created_ns, OWNERS.c.id)
    query = select(OWNERS).where(OWNERS.c.tenant == tenant, OWNERS.c.kind == kind)
    query = query.where((OWNERS.c.expires_s.is_(None)) | (OWNERS.c.expires_s > now_s))
    if purpose:
        query = query.where(OWNERS.c.purpose == purpose)
    if after is not None:
        at, same = OWNERS.c.created_ns, OWNERS.c.created_ns == after.created_ns
        behind = at < after.created_ns if newest_first else at > after.created_ns
        query = query.where(behind | (same & (OWNERS.c.id < after.id if newest_first else OWNERS.c.id > after.id)))
    query = query.order_by(*(column.desc() for column in order) if newest_first else order)
    return [_owned(row) for row in connection.execute(query.limit(limit))]


def save(connection: Connection, row: Owned) -> None:
    """What was learned of it; what has happened stays happened, and the owner stays the owner."""
    seen = connection.execute(select(OWNERS).where(*_is(row))).one_or_none()
    if seen is None:
        return
    known = _owned(seen)
    values = {
        "object": row.object or known.object,
        "purpose": row.purpose or known.purpose,
        "expires_s": row.expires_s or known.expires_s,
        "done_ns": known.done_ns or row.done_ns,
        "metered_ns": known.metered_ns or row.metered_ns,
        "metered_to": max(known.metered_to, row.metered_to),
    }
    connection.execute(update(OWNERS).where(*_is(row)).values(values))


def forget(connection: Connection, row: Owned) -> None:
    """It is gone at the vendor, and so are its parts."""
    connection.execute(delete(OWNERS).where(*_is(row)))
    if row.kind is Stored.RESPONSE:
        parts = (OWNERS.c.parent == row.id, OWNERS.c.upstream == row.upstream, OWNERS.c.tenant == row.tenant)
        connection.execute(delete(OWNERS).where(OWNERS.c.kind == Stored.ITEM, *parts))


def results_of(connection: Connection, batch: Owned) -> list[Owned]:
    """The files with that batch's results."""
    query = select(OWNERS).where(OWNERS.c.kind == Stored.FILE, OWNERS.c.parent == batch.id)
    query = query.where(OWNERS.c.upstream == batch.upstream, OWNERS.c.tenant == batch.tenant)
    return [_owned(row) for row in connection.execute(query)]


def unmetered(connection: Connection, kind: Stored) -> int:
    """How many have ended (batches) or are not metered yet (responses), and none has fetched what they used."""
    query = select(func.count()).select_from(OWNERS).where(OWNERS.c.kind == kind, OWNERS.c.metered_ns.is_(None))
    if kind is Stored.BATCH:
        query = query.where(OWNERS.c.done_ns.is_not(None))
    return int(connection.execute(query).scalar_one())


def overdue(connection: Connection, done_before_ns: int, limit: int) -> list[str]:
    """Ids of batches that ended before then, and whose results nobody has fetched."""
    query = select(OWNERS.c.id).where(OWNERS.c.kind == Stored.BATCH, OWNERS.c.metered_ns.is_(None))
    return list(connection.execute(query.where(OWNERS.c.done_ns < done_before_ns).limit(limit)).scalars())


def prune(connection: Connection, created_before_ns: int) -> int:
    """Forget responses and their parts older than that, which vendors keep no longer either; how many."""
    old = (OWNERS.c.kind.in_(PERISHABLE), OWNERS.c.created_ns < created_before_ns)
    return int(connection.execute(delete(OWNERS).where(*old)).rowcount)


def _is(row: Owned) -> tuple[ColumnElement[bool], ...]:
    return OWNERS.c.kind == row.kind, OWNERS.c.upstream == row.upstream, OWNERS.c.id == row.id


def _owned(row: Row[tuple[object, ...]]) -> Owned:
    values = {name: getattr(row, name) for name in COLUMNS}
    return replace(Owned(**values), kind=Stored(values["kind"]))
