import pytest

from collector.verdicts import (
    DATA_ERRORS,
    STORE_ERRORS,
    DataRefused,
    Declined,
    InsertAgain,
    Landed,
    Mismatch,
    NewToken,
    ReadBack,
    Uncertain,
    Wait,
    backoff_s,
    insert_outcome,
    read_back,
)


@pytest.mark.parametrize(
    ("found", "running", "certain", "verdict"),
    [
        (10, False, True, Landed()),
        (10, False, False, Landed()),
        (10, True, False, Landed()),
        (0, True, True, Wait()),
        (0, True, False, Wait()),
        (4, True, True, Wait()),
        (0, False, False, InsertAgain()),
        (0, False, True, NewToken()),
        (4, False, True, Mismatch(4)),
        (4, False, False, Mismatch(4)),
        (11, False, True, Mismatch(11)),
    ],
)
def test_only_a_certain_insert_of_which_nothing_is_there_and_nothing_runs_earns_a_new_token(
    found: int, running: bool, certain: bool, verdict: ReadBack
) -> None:
    assert read_back(rows=10, found=found, running=running, certain=certain) == verdict


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (None, Uncertain),
        (516, Uncertain),  # authentication failed: the store was set up again
        (60, Uncertain),  # unknown table: not migrated yet
        (243, Uncertain),  # not enough space
        (241, Declined),  # memory limit exceeded: this batch, now
        (252, Declined),  # too many parts
        (216, Declined),  # the same query id runs still
        (53, Declined),  # type mismatch: the schema is wrong, not the data
        (9999, Declined),
        (33, DataRefused),  # cannot read all data
        (407, DataRefused),  # decimal overflow
        (444, DataRefused),  # unknown protobuf format
    ],
)
def test_only_what_the_bytes_are_to_blame_for_is_refused_for_good(code: int | None, kind: type) -> None:
    assert insert_outcome(code, "why") == kind("why")


def test_no_code_means_two_things() -> None:
    assert not DATA_ERRORS & STORE_ERRORS


def test_pauses_double_up_to_the_longest_and_are_spread_by_half() -> None:
    assert [backoff_s(tries, longest_s=1.0, random=1.0) for tries in (1, 2, 3, 4, 5, 500)] == [0.1, 0.2, 0.4, 0.8, 1, 1]
    assert backoff_s(2, longest_s=1.0, random=0.0) == 0.1
