"""From ledger to invoice: the lines of each UTC day, rounded as this vendor rounds, and its hidden surcharge.

Aggregates only: no line tells one request from another. A line is a day, a project, an api key, a model snapshot and a
token class; it says how many tokens and how much money.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from deploy.demo.vendor.ledger import Row
from deploy.demo.vendor.settings import TOKEN_CLASSES, Billing

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line. `amount` is what is asked for: `rounded` and the surcharge. `exact` is the ledger's sum."""

    day: date
    project_id: str
    api_key_id: str
    line_item: str
    tokens: int
    exact: Decimal
    rounded: Decimal
    surcharge: Decimal
    model: str = ""
    token_class: str = ""
    tier: str = ""
    """The processing tier that it is sold as; "" = the default one."""
    category: str = "Usage"
    """The kind of charge, in FOCUS' words."""
    corrects: bool = False
    """It corrects a month that was invoiced before."""
    currency: str = "USD"
    """What is to be paid in."""
    rate: Decimal = Decimal(1)
    """Of that currency for one USD."""

    @property
    def amount(self) -> Decimal:
        """The line's amount, USD."""
        return self.rounded + self.surcharge


def lines(rows: Iterable[Row], billing: Billing) -> list[Line]:
    """Every line with tokens, ordered by day, project, key and item; of what is forgiven there is none."""
    tokens: dict[tuple[date, str, str, str, str], int] = {}
    exact: dict[tuple[date, str, str, str, str], Decimal] = {}
    for row in rows:
        if row.cause in billing.forgiven:
            continue
        for name in TOKEN_CLASSES:
            if row.tokens[name]:
                key = (row.received_at.date(), row.project_id, row.api_key_id, row.model, name)
                tokens[key] = tokens.get(key, 0) + row.tokens[name]
                exact[key] = exact.get(key, Decimal(0)) + row.billed[name]
    return [_line(key, tokens[key], exact[key], billing) for key in sorted(tokens)]


def _line(key: tuple[date, str, str, str, str], tokens: int, exact: Decimal, billing: Billing) -> Line:
    day, project_id, api_key_id, model, token_class = key
    unit = Decimal(1).scaleb(-billing.places)
    surcharge = Decimal(0)
    if billing.surcharge_share and token_class == "output":  # noqa: S105 - a class of tokens, no secret
        surcharge = max(exact * billing.surcharge_share, billing.surcharge_least)
    return Line(
        day=day,
        project_id=project_id,
        api_key_id=api_key_id,
        line_item=f"{model}, {token_class}",
        model=model,
        token_class=token_class,
        tokens=tokens,
        exact=exact,
        rounded=exact.quantize(unit, ROUND_HALF_EVEN),
        surcharge=surcharge.quantize(unit, ROUND_HALF_EVEN),
    )


def days(start: datetime, end: datetime) -> list[date]:
    """The UTC days that begin in the half-open period."""
    first = start.astimezone(UTC).date()
    count = -(-(end - datetime.combine(first, datetime.min.time(), UTC)) // DAY)
    return [first + DAY * i for i in range(max(0, count))]


def by_day(found: Sequence[Line]) -> Mapping[date, list[Line]]:
    """The lines of each day that has some."""
    grouped: dict[date, list[Line]] = {}
    for line in found:
        grouped.setdefault(line.day, []).append(line)
    return grouped
