"""Tokens missing in one cell that are billed in another: found by looking at the neighbours of each.

    CUTOFF      the same account, model, class, tier and region, on the UTC day before or after
    MODEL_MAP   another model of the same account and day: every class that differs differs by as much
    CLASS_MIX   other classes of the same cell: input with input, output with output, equal in total
    TIER_MIX    another processing tier or region of the same account, day, model and class

Only as many tokens as are missing, to the last one, are a counterpart. What is missing here and too much there without
being equal is not claimed: the cells say that they are ambiguous. A later claim cannot take what an earlier one has.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from analytics.reconciliation.grain import Cell
from analytics.reconciliation.sides import Side
from analytics.reconciliation.variance import VarianceClass
from gateway.domain.usage import TokenClass

Key = tuple[Cell, str]
Neighbours = Callable[[Side, Mapping[Key, Side]], list[Side]]

_DIRECTIONS = (
    frozenset({TokenClass.OUTPUT, TokenClass.REASONING}),
    frozenset(TokenClass) - {TokenClass.OUTPUT, TokenClass.REASONING},
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The whole gap of a side, under a class, with the sides that hold its counterpart."""

    variance_class: VarianceClass
    counterparts: tuple[Side, ...]


@dataclass(slots=True)
class Shifts:
    """What was claimed, and which sides have counterparts of several classes, or unequal ones."""

    claims: dict[Key, Claim] = field(default_factory=dict)
    candidates: dict[Key, set[VarianceClass]] = field(default_factory=lambda: defaultdict(set))


def match(sides: Iterable[Side]) -> Shifts:
    """The shifts between those sides; the order in which they are given does not matter."""
    gaps = {side.key: side for side in sorted(sides, key=lambda side: side.key) if side.gap}
    found = Shifts()
    for variance_class, exchanges in (
        (VarianceClass.CUTOFF, _pairs(gaps, _days_beside)),
        (VarianceClass.MODEL_MAP, _models(gaps)),
        (VarianceClass.CLASS_MIX, _classes(gaps)),
        (VarianceClass.TIER_MIX, _pairs(gaps, _conditions_beside(gaps))),
    ):
        for exchange in exchanges:
            for side in exchange:
                found.candidates[side.key].add(variance_class)
            if not any(side.key in found.claims for side in exchange):
                _claim(found, variance_class, exchange)
    _unequal(gaps, found)
    return found


def _claim(found: Shifts, variance_class: VarianceClass, exchange: Sequence[Side]) -> None:
    for side in exchange:
        others = tuple(other for other in exchange if (other.gap or 0) * (side.gap or 0) < 0)
        found.claims[side.key] = Claim(variance_class, others)


class _Beside:
    """Sides that differ from one in nothing but what a class of shift may change."""

    def __init__(self, gaps: Mapping[Key, Side]) -> None:
        self._same: dict[tuple[object, ...], list[Side]] = defaultdict(list)
        for side in gaps.values():
            self._same[self._rest(side)].append(side)

    def __call__(self, side: Side, gaps: Mapping[Key, Side]) -> list[Side]:
        return [other for other in self._same[self._rest(side)] if other.key != side.key]

    @staticmethod
    def _rest(side: Side) -> tuple[object, ...]:
        return (*side.cell[:4], side.cell.days, side.token_class)


def _conditions_beside(gaps: Mapping[Key, Side]) -> _Beside:
    return _Beside(gaps)


def _days_beside(side: Side, gaps: Mapping[Key, Side]) -> list[Side]:
    """The day after first: a bill is late more often than early."""
    step = timedelta(days=side.cell.days)
    keys = [(side.cell._replace(day=day), side.key[1]) for day in (side.cell.day + step, side.cell.day - step)]
    return [gaps[key] for key in keys if key in gaps]


def _pairs(gaps: Mapping[Key, Side], beside: Neighbours) -> Iterator[tuple[Side, ...]]:
    """Each side that lacks tokens with each neighbour that has as many too much."""
    for side in gaps.values():
        if (side.gap or 0) < 0:
            yield from ((side, other) for other in beside(side, gaps) if other.gap == -(side.gap or 0))


def _models(gaps: Mapping[Key, Side]) -> Iterator[tuple[Side, ...]]:
    """Cells of two models whose gaps are each other's opposite, class by class."""
    by_cell: dict[Cell, list[Side]] = defaultdict(list)
    for side in gaps.values():
        by_cell[side.cell].append(side)
    by_vector: dict[tuple[object, ...], list[Cell]] = defaultdict(list)
    for cell, sides in by_cell.items():
        by_vector[_vector(cell, sides, 1)].append(cell)
    for cell, sides in by_cell.items():
        if all((side.gap or 0) < 0 for side in sides):
            for other in by_vector.get(_vector(cell, sides, -1), ()):
                yield (*sides, *by_cell[other])


def _vector(cell: Cell, sides: Sequence[Side], sign: int) -> tuple[object, ...]:
    place = cell._replace(model="")
    return (place, *((side.token_class, sign * (side.gap or 0)) for side in sides))


def _classes(gaps: Mapping[Key, Side]) -> Iterator[tuple[Side, ...]]:
    """Sides of one cell and direction whose gaps sum to nothing."""
    for together in _by_direction(gaps).values():
        if len(together) > 1 and sum(side.gap or 0 for side in together) == 0:
            yield tuple(together)


def _by_direction(gaps: Mapping[Key, Side]) -> dict[tuple[Cell, int], list[Side]]:
    found: dict[tuple[Cell, int], list[Side]] = defaultdict(list)
    for side in gaps.values():
        direction = next(n for n, classes in enumerate(_DIRECTIONS) if side.token_class in classes)
        found[side.cell, direction].append(side)
    return found


def _unequal(gaps: Mapping[Key, Side], found: Shifts) -> None:
    """Mark what lacks tokens beside what has too many, where nothing was claimed of either."""
    conditions, directions = _conditions_beside(gaps), _by_direction(gaps)
    in_class: dict[Key, list[Side]] = defaultdict(list)
    for together in directions.values():
        for side in together:
            in_class[side.key] = together
    for side in gaps.values():
        if side.key in found.claims or (side.gap or 0) > 0:
            continue
        for variance_class, others in (
            (VarianceClass.CUTOFF, _days_beside(side, gaps)),
            (VarianceClass.CLASS_MIX, in_class[side.key]),
            (VarianceClass.TIER_MIX, conditions(side, gaps)),
        ):
            for other in others:
                if (other.gap or 0) > 0 and other.key not in found.claims:
                    found.candidates[side.key].add(variance_class)
                    found.candidates[other.key].add(variance_class)
