"""The witness on books written by hand: one request a case, and every class by its own road."""

from decimal import Decimal
from typing import Any

import pytest

from deploy.demo.witness import CLASSES, BooksDisagree, VendorBooks, check_books, expected_by_class

Row = dict[str, Any]

PRICES = {"input": Decimal("0.00000015"), "cached input": Decimal("0.000000075"), "output": Decimal("0.0000006")}


def charge(request_id: str = "a", tokens: tuple[int, int, int] = (100, 128, 10), cause: str = "completed") -> Row:
    by_class = dict(zip(PRICES, tokens, strict=True))
    billed = {name: f"{PRICES[name] * count:f}" for name, count in by_class.items()}
    return {"request_id": request_id, "cause": cause, "tokens": by_class, "billed": billed}


def attempt(
    attempt_id: str = "a", outcome: str = "ok", completeness: str = "measured", **changes: Any
) -> dict[str, Any]:
    row = {
        "attempt_id": attempt_id,
        "outcome": outcome,
        "completeness": completeness,
        "input_uncached": 100,
        "cache_read": 128,
        "cache_write_5m": 0,
        "cache_write_1h": 0,
        "output": 10,
        "reasoning": 0,
        "cost_usd": Decimal("0.000030600000000000") if completeness == "measured" else None,
    }
    return {**row, **changes}


def books(*rows: Row, rounding: str = "0", surcharge: str = "0") -> VendorBooks:
    return VendorBooks(name="v", rows=rows, rounding_usd=Decimal(rounding), surcharge_usd=Decimal(surcharge))


def expected(ledger: VendorBooks, *attempts: Row) -> dict[str, Decimal]:
    found = expected_by_class([ledger], attempts)
    assert tuple(found) == CLASSES
    return {name: amount for name, amount in found.items() if amount}


def test_a_measured_request_that_both_have_alike_is_no_variance() -> None:
    assert expected(books(charge()), attempt()) == {}


@pytest.mark.parametrize(
    ("outcome", "completeness", "named"),
    [
        ("cancelled", "estimated", "CANCELLED_STREAM"),
        ("cancelled", "unknown", "CANCELLED_STREAM"),
        ("timeout", "unknown", "CANCELLED_STREAM"),
        ("lost", "unknown", "CANCELLED_STREAM"),
        ("error", "estimated", "RETRY_OR_FALLBACK"),
        ("ok", "unknown", "VOLUME"),
    ],
)
def test_a_charge_for_what_was_not_measured_belongs_to_how_it_ended_here(
    outcome: str, completeness: str, named: str
) -> None:
    assert expected(books(charge()), attempt("a", outcome, completeness)) == {named: Decimal("0.0000306")}


def test_a_stream_that_its_client_cut_after_the_usage_came_is_no_variance() -> None:
    assert expected(books(charge(cause="client_disconnect")), attempt("a", "cancelled")) == {}


def test_a_charge_that_no_attempt_knows_is_untracked() -> None:
    assert expected(books(charge("b")), attempt("a", "refused", "unknown")) == {
        "UNTRACKED_CHARGE": Decimal("0.0000306")
    }


def test_usage_that_was_not_billed_is_negative() -> None:
    free = charge(tokens=(0, 0, 0))
    assert expected(books(free), attempt()) == {"UNBILLED_USAGE": Decimal("-0.0000306")}
    assert expected(books(), attempt()) == {"UNBILLED_USAGE": Decimal("-0.0000306")}


def test_rounding_and_surcharge_are_the_vendors_own() -> None:
    ledger = books(charge(), rounding="-0.0000004", surcharge="0.0003")
    assert expected(ledger, attempt()) == {"ROUNDING": Decimal("-0.0000004"), "UNEXPLAINED": Decimal("0.0003")}


def test_reasoning_is_output_to_the_vendor() -> None:
    assert expected(books(charge()), attempt(output=4, reasoning=6)) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"output": 11},
        {"input_uncached": 228, "cache_read": 0},
        {"cache_write_5m": 1},
        {"cost_usd": Decimal("0.000030600000000001")},
        {"cost_usd": None},
    ],
)
def test_a_measured_request_that_differs_in_the_last_digit_is_named(wrong: Row) -> None:
    with pytest.raises(BooksDisagree, match=r"^a: "):
        expected(books(charge()), attempt(**wrong))


def test_a_refused_request_that_was_billed_is_named() -> None:
    with pytest.raises(BooksDisagree, match=r"^a: refused .* billed 0\.0000306"):
        expected(books(charge()), attempt("a", "refused", "unknown"))
    assert expected(books(charge(tokens=(0, 0, 0))), attempt("a", "refused", "unknown")) == {}


def test_books_that_match_one_to_one_have_nothing_wrong() -> None:
    attempts = [
        attempt("a"),
        attempt("b", "cancelled", "unknown"),
        attempt("c", "refused", "unknown"),
        attempt("d", "lost"),
    ]
    assert check_books([books(charge("a")), books(charge("b"))], attempts) == []


def test_every_way_of_not_matching_is_said_with_the_request() -> None:
    ledgers = [books(charge("a"), charge("a"), charge("b")), books(charge("twice"))]
    attempts = [attempt("a"), attempt("twice"), attempt("twice"), attempt("gone", "cancelled", "unknown")]
    assert check_books(ledgers, attempts) == [
        "a is in the vendors' ledgers 2 times",
        "b is in the ledger of v and has no attempt row",
        "gone ended cancelled and is in no vendor's ledger",
        "twice has 2 attempt rows",
    ]
