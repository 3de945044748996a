"""Asks whether facts, rollups and ledger tell of the same spans. It reports; it never repairs.

`questions` ask the store, `checks` say which equalities hold and what breaks each, and `record` keeps what was found of
each closed hour. The worker rebuilds what is stale of the rollups, and nothing here ever deletes a fact.
"""

from analytics.audit.checks import BATCHES, BOOKS, Check, Fault, checks
from analytics.audit.questions import KINDS, aduplicates, duplicate_count, duplicates, rollup_differences
from analytics.audit.record import record, widened

__all__ = [
    "BATCHES",
    "BOOKS",
    "KINDS",
    "Check",
    "Fault",
    "aduplicates",
    "checks",
    "duplicate_count",
    "duplicates",
    "record",
    "rollup_differences",
    "widened",
]
