"""A list as OpenAI's clients page through it: `after`, `limit` and `order` in, one page and `has_more` out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from gateway.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks of a list."""

    limit: int
    newest_first: bool
    after: str
    purpose: str


def asked(query: Mapping[str, str], *, limit: int, limit_max: int) -> Asked:
    """The list that the query asks for; `limit` is what it gets without one. Raises InvalidRequest."""
    given = query.get("limit")
    if given is not None:
        whole = given.isascii() and given.isdecimal() and len(given) <= len(str(limit_max))
        if not whole or not 1 <= int(given) <= limit_max:
            raise InvalidRequest(f"`limit` must be a whole number from 1 to {limit_max}.", param="limit")
        limit = int(given)
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("`order` must be `asc` or `desc`.", param="order")
    return Asked(limit, order == "desc", query.get("after", ""), query.get("purpose", ""))


def listed(objects: Sequence[tuple[str, bytes]], *, has_more: bool) -> bytes:
    """The page: ids, and the vendor's JSON of each."""
    first, last = (objects[0][0], objects[-1][0]) if objects else (None, None)
    data = b",".join(text for _, text in objects)
    tail = {"first_id": first, "last_id": last, "has_more": has_more}
    return b'{"object":"list","data":[' + data + b"]," + orjson.dumps(tail)[1:]
