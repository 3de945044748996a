"""Hosts' costs as FOCUS 1.4 tells of a charge that was split: the Allocated* columns of its rows. Pure.

One origin charge is one host's time (rent and power) or egress in the window that the parts are of; its rows are its
owners', idle time among them. Their amounts sum to the charge and their ratios to 1, both exactly.
"""

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Literal

from analytics.allocation import Owner
from analytics.hosts.shares import Part
from analytics.hosts.use import UNIT
from gateway.domain.host import BYTES_PER_GB
from gateway.domain.money import EXACT, allocate, plain

METHOD = {"time": "tollway-busy-share-1", "egress": "tollway-sent-bytes-1"}
"""AllocatedMethodId by charge: the rules of deploy/docs/owned-cost.md."""
_RATIO_QUANTUM = Decimal(1).scaleb(-12)
_NS_PER_HOUR = Decimal(3_600_000_000_000)
Charge = Literal["time", "egress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocated:
    """One row of a split charge."""

    charge: Charge
    host: str
    hardware: str
    owner: Owner
    usd: Decimal
    """EffectiveCost of the row."""
    ratio: Decimal
    usage_unit: str
    usage_quantity: Decimal

    @property
    def columns(self) -> dict[str, str]:
        """The Allocated* columns, as text."""
        owner = self.owner
        tags = {
            "tenant": owner.tenant,
            "alias": owner.alias,
            "tier": owner.tier,
            "fallback_depth": str(owner.fallback_depth),
            "reason_code": owner.fallback_reason,
        }
        # Written out, for a JSON library would make floats of them.
        element = (
            f'{{"AllocatedRatio":{plain(self.ratio)},"UsageUnit":"{self.usage_unit}",'
            f'"UsageQuantity":{plain(self.usage_quantity)}}}'
        )
        return {
            "AllocatedMethodId": METHOD[self.charge],
            "AllocatedMethodDetails": f'{{"Elements":[{element}]}}',
            "AllocatedResourceId": self.host,
            "AllocatedResourceName": self.hardware or self.host,
            "AllocatedTags": json.dumps(tags, ensure_ascii=False, separators=(",", ":")),
        }


def allocated(parts: Iterable[Part]) -> list[Allocated]:
    """The rows of every charge of the parts' hosts, in order; a charge that cost nothing has none."""
    time: dict[tuple[str, str], dict[Owner, tuple[Decimal, int]]] = defaultdict(dict)
    egress: dict[tuple[str, str], dict[Owner, tuple[Decimal, int]]] = defaultdict(dict)
    for part in parts:
        host = (part.stretch.host.name, part.stretch.host.hardware)
        _add(time[host], part.owner, part.time_usd, part.weight)
        _add(egress[host], part.owner, part.egress_usd, part.sent_bytes)
    rows: list[Allocated] = []
    for host in sorted(time):
        rows += _rows("time", host, time[host], "Hours", UNIT * _NS_PER_HOUR)
        rows += _rows("egress", host, egress[host], "GB", Decimal(BYTES_PER_GB))
    return rows


def _add(sums: dict[Owner, tuple[Decimal, int]], owner: Owner, usd: Decimal, used: int) -> None:
    known_usd, known = sums.get(owner, (Decimal(0), 0))
    sums[owner] = (EXACT.add(known_usd, usd), known + used)


def _rows(
    charge: Charge, host: tuple[str, str], sums: dict[Owner, tuple[Decimal, int]], unit: str, of_unit: Decimal
) -> list[Allocated]:
    owners = [owner for owner in sorted(sums) if any(sums[owner])]
    amounts = [sums[owner][0] for owner in owners]
    if not any(amounts):
        return []
    ratios = allocate(Decimal(1), amounts, _RATIO_QUANTUM)
    with localcontext(prec=76):
        quantities = [(sums[owner][1] / of_unit).quantize(_RATIO_QUANTUM) for owner in owners]
    return [
        Allocated(
            charge=charge,
            host=host[0],
            hardware=host[1],
            owner=owner,
            usd=amounts[i],
            ratio=ratios[i],
            usage_unit=unit,
            usage_quantity=quantities[i],
        )
        for i, owner in enumerate(owners)
    ]
