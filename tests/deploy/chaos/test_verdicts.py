"""A matrix that cannot fail proves nothing: each way of breaking Tollway's word is seen."""

from decimal import Decimal
from typing import Any

import pytest

from deploy.chaos import gateway
from deploy.chaos.ledger import Landed, Ledger, SpanSent
from deploy.chaos.report import Line
from deploy.chaos.scene import Result

A, B, C = (SpanSent(f"{number:048x}", 1000 * number, number) for number in (1, 2, 3))
COST = A.cost_usd + B.cost_usd


def ledger() -> Ledger:
    """A and B were acknowledged, C was sent and nobody answered."""
    books = Ledger()
    books.sent([A, B, C])
    books.acknowledged([A, B])
    return books


def failed(landed: Landed) -> bool:
    verdict = ledger().judge(landed)
    return Line("row", Result(row="row", moments=1, kills=1, verdict=verdict, seconds=1.0)).failed


def test_the_ledgers_own_arithmetic_is_exact() -> None:
    assert SpanSent("", 3, 7).cost_usd == Decimal("0.000007283946")


@pytest.mark.parametrize("unanswered", [(), (C,)])
def test_what_was_acknowledged_once_each_holds_and_what_was_not_answered_may_be_there(
    unanswered: tuple[SpanSent, ...],
) -> None:
    cost = COST + sum((one.cost_usd for one in unanswered), Decimal(0))
    assert not failed(Landed.of([A.ids, B.ids, *(one.ids for one in unanswered)], cost))


@pytest.mark.parametrize(
    "landed",
    [
        Landed.of([A.ids], A.cost_usd),
        Landed.of([A.ids, B.ids, B.ids], COST + B.cost_usd),
        Landed.of([A.ids, B.ids], COST + Decimal("1e-18")),
        Landed.of([A.ids, B.ids, "f" * 48], COST),
    ],
    ids=["one is missing", "one is there twice", "the last digit differs", "one was never sent"],
)
def test_a_row_fails_when(landed: Landed) -> None:
    assert failed(landed)


def test_a_row_that_sent_nothing_proves_nothing() -> None:
    assert not Ledger().judge(Landed.of([], Decimal(0))).holds


def billed(request_id: str, usd: str = "0.5") -> dict[str, Any]:
    return {"request_id": request_id, "billed": {"input": usd, "output": "0"}}


def attempt(attempt_id: str, outcome: str = "ok", usd: str = "0.5") -> dict[str, Any]:
    completeness = "measured" if outcome == "ok" else "unknown"
    return {"attempt_id": attempt_id, "outcome": outcome, "completeness": completeness, "cost_usd": Decimal(usd)}


def test_an_attempt_that_was_lost_may_be_billed_or_not() -> None:
    assert gateway.judge([billed("a"), billed("b")], [attempt("a"), attempt("b", "lost"), attempt("c", "lost")]).holds


@pytest.mark.parametrize(
    ("ledger", "attempts"),
    [
        ([billed("a"), billed("b")], [attempt("a")]),
        ([billed("a")], [attempt("a"), attempt("a")]),
        ([billed("a")], [attempt("a", usd="0.6")]),
        ([billed("a")], [attempt("a"), attempt("b")]),
    ],
    ids=["a billed call is not there", "one is there twice", "the price differs", "the vendor never heard of one"],
)
def test_the_gateways_row_fails_when(ledger: list[dict[str, Any]], attempts: list[dict[str, Any]]) -> None:
    assert not gateway.judge(ledger, attempts).holds
