"""The witness: what the month's variance has to be, reckoned request by request from the vendors' own ledgers.

Tollway reconciles sums against sums. The witness has what no real customer has, each vendor's charge for each request,
and derives every class from those charges alone; of Tollway's attempts it takes only how they ended on its books and,
where they were measured, that they agree with the vendor to the last digit. It imports no rule of the analytics.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from deploy.errors import OperatorError

VOLUME = "VOLUME"
UNTRACKED_CHARGE = "UNTRACKED_CHARGE"
UNBILLED_USAGE = "UNBILLED_USAGE"
CANCELLED_STREAM = "CANCELLED_STREAM"
RETRY_OR_FALLBACK = "RETRY_OR_FALLBACK"
ROUNDING = "ROUNDING"
UNEXPLAINED = "UNEXPLAINED"

NOT_HERE = (
    *("TAX", "CREDIT", "FEE", "PURCHASE", "FX", "PRIOR_PERIOD_CORRECTION", "DUPLICATE"),
    *("CUTOFF", "MODEL_MAP", "CLASS_MIX", "TIER_MIX", "RATE"),
)
"""What these vendors' ledgers never give cause for: the parts of a month that are other classes are wrong."""

CLASSES = (
    *NOT_HERE,
    VOLUME,
    UNTRACKED_CHARGE,
    UNBILLED_USAGE,
    CANCELLED_STREAM,
    RETRY_OR_FALLBACK,
    ROUNDING,
    UNEXPLAINED,
)

WE_HUNG_UP = frozenset({"cancelled", "timeout", "lost"})

NEED_NO_CHARGE = frozenset({"refused", "lost"})
"""Outcomes of which a vendor may never have heard."""

VENDOR_CLASSES = {"input": ("input_uncached",), "cached input": ("cache_read",), "output": ("output", "reasoning")}
"""A vendor's token class, and the attempt's columns that it is the sum of."""

OTHER_CLASSES = ("cache_write_5m", "cache_write_1h")
"""What these vendors do not sell: an attempt of theirs that has some is wrong."""


class BooksDisagree(OperatorError):
    """A vendor's ledger and Tollway's books differ on a request that both say they know exactly. Names the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorBooks:
    """One vendor's books of a period.

    `rows` as its /_witness/ledger has them: request_id, cause, tokens {class: count} and billed {class: decimal string}
    among others. `rounding_usd` and `surcharge_usd` are what its invoice added to the exact sum of its rows.
    """

    name: str
    rows: Sequence[Mapping[str, Any]]
    rounding_usd: Decimal = Decimal(0)
    surcharge_usd: Decimal = Decimal(0)


def expected_by_class(ledgers: Iterable[VendorBooks], attempts: Iterable[Mapping[str, Any]]) -> dict[str, Decimal]:
    """What each class of the variance has to be, in USD; every class is there.

    `attempts` are rows of demo_attempts.sql: attempt_id, outcome, completeness, the token columns, cost_usd. Raises
    BooksDisagree, naming the request, where a measured attempt differs from the ledger or a refused one was billed.
    """
    expected = dict.fromkeys(CLASSES, Decimal(0))
    unseen = {str(attempt["attempt_id"]): attempt for attempt in attempts}
    known = dict(unseen)
    for ledger in ledgers:
        expected[ROUNDING] += ledger.rounding_usd
        expected[UNEXPLAINED] += ledger.surcharge_usd
        for row in ledger.rows:
            attempt = known.get(row["request_id"])
            unseen.pop(row["request_id"], None)
            for name, amount in _classify(row, attempt):
                expected[name] += amount
    for attempt in unseen.values():
        if _measured(attempt):
            expected[UNBILLED_USAGE] -= _cost(attempt)
    return expected


def _classify(row: Mapping[str, Any], attempt: Mapping[str, Any] | None) -> list[tuple[str, Decimal]]:
    """Where one charge belongs: at most one class, none for what both books have alike."""
    billed = sum((Decimal(amount) for amount in row["billed"].values()), Decimal(0))
    if attempt is None:
        return [(UNTRACKED_CHARGE, billed)]
    outcome = attempt["outcome"]
    if _measured(attempt):
        if not any(row["tokens"].values()):
            return [(UNBILLED_USAGE, -_cost(attempt))]
        _must_agree(row, attempt, billed)
        return []
    if outcome in WE_HUNG_UP:
        return [(CANCELLED_STREAM, billed)]
    if outcome == "error":
        return [(RETRY_OR_FALLBACK, billed)]
    if outcome == "ok":
        return [(VOLUME, billed)]
    if billed:
        raise BooksDisagree(f"{row['request_id']}: {outcome} here, and the vendor billed {billed:f} USD for it")
    return []


def _measured(attempt: Mapping[str, Any]) -> bool:
    return bool(attempt["completeness"] == "measured" and attempt["outcome"] != "refused")


def _cost(attempt: Mapping[str, Any]) -> Decimal:
    if attempt["cost_usd"] is None:
        raise BooksDisagree(f"{attempt['attempt_id']}: measured, and no rate card prices it")
    return Decimal(attempt["cost_usd"])


def _must_agree(row: Mapping[str, Any], attempt: Mapping[str, Any], billed: Decimal) -> None:
    ours = {name: sum(attempt[column] for column in columns) for name, columns in VENDOR_CLASSES.items()}
    strange = {column: attempt[column] for column in OTHER_CLASSES if attempt[column]}
    theirs = dict(row["tokens"])
    if ours != theirs or strange:
        raise BooksDisagree(f"{row['request_id']}: the vendor billed {theirs}, we measured {ours | strange}")
    if _cost(attempt) != billed:
        raise BooksDisagree(f"{row['request_id']}: the vendor billed {billed:f} USD, we rated {_cost(attempt):f}")


def check_books(ledgers: Iterable[VendorBooks], attempts: Iterable[Mapping[str, Any]]) -> list[str]:
    """What is wrong between the two sides' lists of requests, one sentence each; an empty list is the promise.

    Every request id in a ledger is there once and has exactly one attempt row; an attempt row without one is only
    refused or lost.
    """
    rows = [(ledger.name, str(row["request_id"])) for ledger in ledgers for row in ledger.rows]
    billed = Counter(request_id for _, request_id in rows)
    outcomes: dict[str, list[str]] = {}
    for attempt in attempts:
        outcomes.setdefault(str(attempt["attempt_id"]), []).append(str(attempt["outcome"]))
    wrong = [
        f"{request_id} is in the vendors' ledgers {count} times" for request_id, count in billed.items() if count > 1
    ]
    for name, request_id in rows:
        if request_id not in outcomes:
            wrong.append(f"{request_id} is in the ledger of {name} and has no attempt row")
    for attempt_id, found in outcomes.items():
        if len(found) > 1:
            wrong.append(f"{attempt_id} has {len(found)} attempt rows")
        if attempt_id not in billed and not NEED_NO_CHARGE.issuperset(found):
            wrong.append(f"{attempt_id} ended {found[0]} and is in no vendor's ledger")
    return sorted(wrong)
