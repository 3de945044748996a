"""Wrong and special billing, on demand: faults put into an invoice's lines, and the vendor's own word for each.

A fault picks the lines of a day and a model, changes them or adds one, and confesses what it added to the invoice in
the money that the vendor reckons in. Nothing here knows how a customer would name it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

from deploy.demo.vendor import invoice
from deploy.demo.vendor.injections import Fault, Injection
from deploy.demo.vendor.invoice import DAY, Line
from deploy.demo.vendor.ledger import Row, charge
from deploy.demo.vendor.settings import Billing, Model

_ROUNDED = Context(prec=50, rounding=ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class Confession:
    """What a fault added to the invoice, USD, exact: `more` on some lines and `less` on others."""

    injection: Injection
    more: Decimal
    less: Decimal = Decimal(0)


def invoiced(rows: Sequence[Row], models: Iterable[Model], billing: Billing) -> tuple[list[Line], list[Confession]]:
    """The lines of those rows with the faults that are switched on, in their order, and what each made.

    A fault of a day and model without lines is not of this invoice. Of faults in one cell, each sees the lines as those
    before it left them.
    """
    books = _Books(rows, {model.snapshot: model for model in models}, billing)
    kept, confessed = invoice.lines(rows, billing), []
    for each in billing.faults:
        if kept and (not each.model or _of(kept, each)[0]):
            kept, told = _CHANGES[each.fault](kept, each, books)
            confessed.append(told)
    return kept, confessed


@dataclass(frozen=True, slots=True)
class _Books:
    """What a fault may look up."""

    rows: Sequence[Row]
    prices: dict[str, Model]
    billing: Billing

    def priced(self, line: Line, tokens: int, per_million: Decimal) -> Line:
        """The line with other tokens at another price."""
        exact = per_million * tokens / 1_000_000
        unit = Decimal(1).scaleb(-self.billing.places)
        return replace(line, tokens=tokens, exact=exact, rounded=exact.quantize(unit, context=_ROUNDED))


Change = Callable[[list[Line], Injection, _Books], tuple[list[Line], Confession]]


def _of(lines: Sequence[Line], each: Injection) -> tuple[list[Line], list[Line]]:
    """The lines of the fault's cell, and the others."""
    cell = [line for line in lines if (line.day, line.model) == (each.day, each.model) and not line.tier]
    return cell, [line for line in lines if line not in cell]


def _sum(lines: Iterable[Line]) -> Decimal:
    return sum((line.exact for line in lines), Decimal(0))


def _doubled(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, _ = _of(lines, each)
    return lines + cell, Confession(each, sum((line.amount for line in cell), Decimal(0)))


def _wrong_price(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    wrong = [
        books.priced(line, line.tokens, each.price) if line.token_class == "output" else line  # noqa: S105
        for line in cell
    ]
    more = sum((new.rounded - old.rounded for new, old in zip(wrong, cell, strict=True)), Decimal(0))
    # What is wrong is the price; that the wrong price's own cent is rounded otherwise is the invoice's rounding.
    return rest + wrong, Confession(each, more)


def _unbilled(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    return rest, Confession(each, Decimal(0), _sum(cell))


def _late_hour(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    found, moved = list(lines), Decimal(0)
    model = books.prices[each.model]
    late = [
        row
        for row in books.rows
        if row.received_at.date() == each.day and row.received_at.hour == 23 and row.model == each.model
    ]
    for name, per_million in model.per_million.items():
        tokens = sum(row.tokens[name] for row in late)
        if not tokens:
            continue
        moved += charge({**dict.fromkeys(model.per_million, 0), name: tokens}, model)[name]
        for day, sign in ((each.day, -1), (each.day + DAY, 1)):
            at = next(
                i for i, line in enumerate(found) if (line.day, line.model, line.token_class) == (day, each.model, name)
            )
            found[at] = books.priced(found[at], found[at].tokens + sign * tokens, per_million)
    return [line for line in found if line.tokens], Confession(each, moved, moved)


def _renamed(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    named = [replace(line, model=each.text, line_item=f"{each.text}, {line.token_class}") for line in cell]
    return rest + named, Confession(each, _sum(cell), _sum(cell))


def _cache_as_input(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    return _cached(lines, each, books, also_as_itself=False)


def _cache_twice(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    return _cached(lines, each, books, also_as_itself=True)


def _cached(
    lines: list[Line], each: Injection, books: _Books, *, also_as_itself: bool
) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    by_class = {line.token_class: line for line in cell}
    prices = books.prices[each.model].per_million
    cached, plain = by_class["cached input"], by_class["input"]
    by_class["input"] = books.priced(plain, plain.tokens + cached.tokens, prices["input"])
    if not also_as_itself:
        del by_class["cached input"]
    more, less = prices["input"] * cached.tokens / 1_000_000, Decimal(0) if also_as_itself else cached.exact
    return rest + list(by_class.values()), Confession(each, more, less)


def _other_tier(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    sold = [
        replace(books.priced(line, line.tokens, each.price), tier=each.text) if line.token_class == "output" else line  # noqa: S105
        for line in cell
    ]
    moved = [(new, old) for new, old in zip(sold, cell, strict=True) if new is not old]
    return rest + sold, Confession(each, _sum(new for new, _ in moved), _sum(old for _, old in moved))


def _strange(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    line = replace(_bare(lines, each), model=each.text, token_class="output", tokens=1000)  # noqa: S106
    return [*lines, replace(line, line_item=f"{each.text}, output")], Confession(each, each.amount)


def _apart(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    """A line of its own category."""
    return [*lines, replace(_bare(lines, each), category=each.fault.capitalize())], Confession(each, each.amount)


def _correction(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    return [*lines, replace(_bare(lines, each), corrects=True)], Confession(each, each.amount)


def _bare(lines: Sequence[Line], each: Injection) -> Line:
    """A line that is about no tokens."""
    return replace(
        lines[0],
        day=each.day,
        model="",
        token_class="",
        line_item=str(each.fault),
        tokens=0,
        exact=each.amount,
        rounded=each.amount,
        surcharge=Decimal(0),
    )


def _converted(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    return rest + [replace(line, currency=each.text, rate=each.price) for line in cell], Confession(each, Decimal(0))


def _markup(lines: list[Line], each: Injection, books: _Books) -> tuple[list[Line], Confession]:
    cell, rest = _of(lines, each)
    marked = replace(cell[0], surcharge=cell[0].surcharge + each.amount)
    return [*rest, marked, *cell[1:]], Confession(each, each.amount)


_CHANGES: dict[Fault, Change] = {
    Fault.DOUBLED_ROW: _doubled,
    Fault.WRONG_PRICE: _wrong_price,
    Fault.UNBILLED: _unbilled,
    Fault.LATE_HOUR: _late_hour,
    Fault.RENAMED: _renamed,
    Fault.CACHE_AS_INPUT: _cache_as_input,
    Fault.CACHE_TWICE: _cache_twice,
    Fault.OTHER_TIER: _other_tier,
    Fault.STRANGE: _strange,
    Fault.TAX: _apart,
    Fault.CREDIT: _apart,
    Fault.FEE: _apart,
    Fault.PURCHASE: _apart,
    Fault.CORRECTION: _correction,
    Fault.CONVERTED: _converted,
    Fault.MARKUP: _markup,
}
