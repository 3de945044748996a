"""Gives every invoiced cent back to the alias, tenant and fallback depth that caused it; what nobody caused says so.

The parts sum to the invoice exactly (largest remainder). Charges that no attempt accounts for stay on an explicit
"(unallocated)" row: they are shown, never smeared over those who did not cause them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from analytics.reconciliation.variance import Line
from gateway.domain.attempt import Outcome
from gateway.domain.usage import NO_USAGE, Completeness, Usage

UNALLOCATED = "(unallocated)"


@dataclass(frozen=True, slots=True, order=True)
class Owner:
    """Who caused a charge. The unallocated row has UNALLOCATED as tenant and alias."""

    tenant: str
    alias: str
    tier: str
    fallback_depth: int
    fallback_reason: str


NOBODY = Owner(UNALLOCATED, UNALLOCATED, "", 0, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedGroup:
    """The attempts of one owner, account, model and UTC day that ended alike."""

    owner: Owner
    provider: str
    account: str
    model: str
    day: date
    outcome: Outcome
    completeness: Completeness
    priced: bool = True
    tokens: Usage = NO_USAGE
    request_bytes: int = 0
    output_ceiling: int = 0


def allocate_lines(lines: Iterable[Line], owned: Sequence[OwnedGroup]) -> dict[Owner, Decimal]:
    """The invoiced amount of every line, by owner; sums to the lines' invoiced total exactly."""
    raise NotImplementedError
