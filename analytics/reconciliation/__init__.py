"""Ties the metered cost to the invoice: every cent of difference under a named class, with what proves it."""

from analytics.reconciliation.core import reconcile_lines
from analytics.reconciliation.facts import AttemptGroup, BilledRow, Snapshot
from analytics.reconciliation.month import areconcile_month, reconcile_month
from analytics.reconciliation.summary import Account, Reconciliation
from analytics.reconciliation.variance import Evidence, IdentityBroken, Line, Part, VarianceClass

__all__ = [
    "Account",
    "AttemptGroup",
    "BilledRow",
    "Evidence",
    "IdentityBroken",
    "Line",
    "Part",
    "Reconciliation",
    "Snapshot",
    "VarianceClass",
    "areconcile_month",
    "reconcile_lines",
    "reconcile_month",
]
