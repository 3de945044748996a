"""The core of the reconciliation: billed rows and attempts in, lines out. Pure; the rules are told in `gap` and `price`."""

from collections.abc import Iterable

from analytics.reconciliation.facts import AttemptGroup, BilledRow, Snapshot
from analytics.reconciliation.variance import Line
from gateway.domain.rate_card import RateBook


def reconcile_lines(
    billed: Iterable[BilledRow], attempts: Iterable[AttemptGroup], book: RateBook, snapshots: Iterable[Snapshot] = ()
) -> tuple[Line, ...]:
    """One line per account, model, token class and UTC day that either side knows of, sorted by Line.key.

    The order of the inputs does not matter. Raises IdentityBroken when the parts of a line do not sum to its variance.
    """
    raise NotImplementedError
