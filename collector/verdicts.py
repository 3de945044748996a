"""What an insert's outcome and a read-back mean. Pure functions over small values; the lander does what they say.

insert -> Inserted   -> read back
          Uncertain  -> wait, then read back                  (nobody knows; the store may be down)
          Declined   -> wait, let others go first, read back  (the store's own reasons: memory, too many parts ...)
          DataRefused-> halve it, down to the span at fault, which is parked

count  == rows                   -> Landed
count  == 0, still running       -> Wait
count  == 0, insert was certain  -> NewToken    (the token is remembered and the part is missing)
count  == 0, insert was not      -> InsertAgain (the same token)
else                             -> Mismatch    (parked with an alarm: an insert is one part, so this is a fault)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

BACKOFF_FIRST_S = 0.1

DATA_ERRORS = frozenset({6, 25, 26, 27, 33, 38, 41, 69, 70, 72, 117, 128, 131, 190, 349, 376, 407, 436, 444, 467, 632})
"""ClickHouse error codes that say that the bytes are at fault: they cannot be parsed, or do not fit the columns.

Errors of the schema are not among them: they would park everything, and pass when the schema is put right.
"""

STORE_ERRORS = frozenset({60, 81, 164, 192, 193, 194, 202, 225, 242, 243, 279, 285, 286, 319, 497, 516, 745, 999})
"""Codes that say that the store as a whole is not ready for us: no schema, wrong password, read-only, disk full,
no Keeper, no quorum ..."""


@dataclass(frozen=True, slots=True)
class Inserted:
    """The store said that it took the batch. Alone that proves nothing."""


@dataclass(frozen=True, slots=True)
class Uncertain:
    """No answer, or one about the store as a whole; the batch may be in the store or not."""

    reason: str


@dataclass(frozen=True, slots=True)
class Declined:
    """The store did not take this batch, for reasons that are not in its bytes."""

    reason: str


@dataclass(frozen=True, slots=True)
class DataRefused:
    """The store cannot take these bytes, now or ever."""

    reason: str


InsertOutcome: TypeAlias = Inserted | Uncertain | Declined | DataRefused


def insert_outcome(code: int | None, reason: str) -> Uncertain | Declined | DataRefused:
    """What a failed insert was, by ClickHouse's error code; None = no answer came."""
    if code in DATA_ERRORS:
        return DataRefused(reason)
    if code is None or code in STORE_ERRORS:
        return Uncertain(reason)
    return Declined(reason)


class Rows(NamedTuple):
    """The rows of a batch."""

    spans: int
    hidden: int = 0
    """Those that nobody sees yet, for they are to take others' place."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the store has of a batch."""

    by_tenant: Mapping[str, int]
    claimed: int = 0
    """How many of its spans claim another tenant than the one their sender is bound to."""

    @property
    def spans(self) -> int:
        """All of them."""
        return sum(self.by_tenant.values())


@dataclass(frozen=True, slots=True)
class Landed:
    """Every row is there, once."""


@dataclass(frozen=True, slots=True)
class Wait:
    """An insert of this batch runs still; look again later."""


@dataclass(frozen=True, slots=True)
class InsertAgain:
    """Nothing is there: insert with the same token."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """Nothing is there though the store said so: the token is burnt, insert with a new one."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Some rows are there, but not these many."""

    found: int


ReadBack: TypeAlias = Landed | Wait | InsertAgain | NewToken | Mismatch


def read_back(*, rows: int, found: int, running: bool, certain: bool) -> ReadBack:
    """What the store's count of a batch means. `certain` = the last insert with its token was reported as taken."""
    if found == rows:
        return Landed()
    if running:
        return Wait()
    if found:
        return Mismatch(found)
    return NewToken() if certain else InsertAgain()


def backoff_s(tries: int, *, longest_s: float, random: float) -> float:
    """The pause before the next try, after that many failed ones (from 1). `random` in [0, 1) spreads it by half."""
    full = min(longest_s, BACKOFF_FIRST_S * 2.0 ** min(tries - 1, 30))
    return full * (0.5 + random / 2)
