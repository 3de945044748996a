"""The core over frames: what agrees to the last token is matched by the engine, the rest is looked at line by line.

A cell agrees if our attempts in it are metered by one card, every row is plain usage in USD, and each token class bills
as many tokens as were metered; then its lines are its rows' amounts beside that card's price, and all that can differ
is rounding. The rest, some few cells in a good month, goes to `core`. A property test holds the two ways together.

Polars counts tokens here, in Int128; no money is reckoned in it. Measured with 2.1: sums of integers wrap silently, a
grouped sum of Decimals passes 38 digits silently, a cast from text rounds silently. Amounts stay text until Python's
Decimal has them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from analytics.reconciliation import evidence, names
from analytics.reconciliation.charges import ROWS_NAMED_MAX
from analytics.reconciliation.core import lines_of
from analytics.reconciliation.documents import USAGE_REPORT, settle
from analytics.reconciliation.facts import USAGE, Snapshot, reference
from analytics.reconciliation.grain import Days, Grain
from analytics.reconciliation.policy import USD, Policy
from analytics.reconciliation.price import Charge, split_charges
from analytics.reconciliation.sides import PriceList, check_cost, in_usd
from analytics.reconciliation.summary import Ledger
from analytics.reconciliation.variance import OTHER, Evidence, Line, Part, Source, VarianceClass, total
from gateway.domain.money import EXACT
from gateway.domain.rate_card import PRICED_TIERS, RateBook, RateCard
from gateway.domain.usage import TokenClass

TOKENS = tuple(token_class.value for token_class in TokenClass)
PAYER = ("provider", "account")
CELL = (*PAYER, "day", "named", "told_tier", "told_region")
_OUTPUT, _REASONING = TokenClass.OUTPUT.value, TokenClass.REASONING.value


@dataclass(frozen=True, slots=True)
class Matched:
    """The lines of a month, and the totals of both sides they were made from."""

    lines: tuple[Line, ...]
    ledger: Ledger


def reconcile_frames(
    billed: pl.DataFrame,
    attempts: pl.DataFrame,
    book: RateBook,
    snapshots: Sequence[Snapshot],
    *,
    policy: Policy,
    within: Days,
) -> Matched:
    """The lines of recon_billed's rows and recon_attempts' groups, as reconcile_lines makes them.

    Raises IdentityBroken and CardMissing as it does.
    """
    prices = PriceList(book)
    _check_costs(attempts, prices)
    grain = _grain(billed, attempts, book, snapshots, policy, within)
    rows, groups = _in_cells(billed, attempts, grain)
    agreed = _agreed(rows, groups, prices, within)
    lines, doubtful = _lines(rows, groups, agreed, prices)
    agreed = agreed.filter(~pl.col("cell").is_in(list(doubtful)))
    rest = settle(evidence.documents(rows.join(agreed, on="cell", how="anti"), policy))
    left = [evidence.attempt_group(row) for row in groups.join(agreed, on="cell", how="anti").iter_rows(named=True)]
    lines += lines_of(rest.billed, left, rest.reported, grain=grain, prices=prices, within=within)
    kept = rows.filter(pl.col("document") != USAGE_REPORT).join(agreed, on="cell", how="semi").get_column("amount")
    ours = [row.amount for row in rest.billed if row.correction or within.holds(row.day)]
    ledger = _ledger(groups.filter(_holds(within)), total([*map(Decimal, kept), *ours]))
    return Matched(tuple(sorted(lines, key=lambda line: line.key)), ledger)


def _grain(
    billed: pl.DataFrame,
    attempts: pl.DataFrame,
    book: RateBook,
    snapshots: Sequence[Snapshot],
    policy: Policy,
    within: Days,
) -> Grain:
    """The grain of the invoices, told by one row and one group of each kind."""
    rows = billed.filter(pl.col("document") != USAGE_REPORT)
    kinds = rows.with_columns(
        (pl.col("token_class") == OTHER).alias("other"), pl.when(pl.col("days") > 1).then("day").alias("of")
    )
    by = [*PAYER, "model", "category", "processing_tier", "region", "days", "other", "of"]
    told = kinds.unique(by).select(rows.columns)
    used = attempts.unique([*PAYER, "model", "region"])
    known = names.resolve(
        rows.select(*PAYER, "model").unique().iter_rows(),
        attempts.select(*PAYER, "model").unique().iter_rows(),
        snapshots,
        book,
    )
    return Grain(
        known,
        [each.row for each in evidence.documents(told, policy)],
        [evidence.attempt_group(row) for row in used.iter_rows(named=True)],
        within,
    )


def _in_cells(billed: pl.DataFrame, attempts: pl.DataFrame, grain: Grain) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Both sides with the number of their cell."""
    placed = [_placed(frame, grain) for frame in (billed, attempts)]
    cells = pl.concat([frame.select(CELL) for frame in placed]).unique().with_row_index("cell")
    rows, groups = (frame.join(cells, on=CELL, how="left") for frame in placed)
    return rows, groups


def _placed(frame: pl.DataFrame, grain: Grain) -> pl.DataFrame:
    """The frame with what its cells are told apart by."""
    models = frame.select(*PAYER, "model").unique()
    named = [grain.known.of(*triple) for triple in models.iter_rows()]
    payers = models.select(PAYER).unique()
    tiers, regions = ([payer in told for payer in payers.iter_rows()] for told in (grain.tiers, grain.regions))
    return (
        frame.join(models.with_columns(pl.Series("named", named, pl.String)), on=[*PAYER, "model"], how="left")
        .join(
            payers.with_columns(pl.Series("tiers", tiers, pl.Boolean), pl.Series("regions", regions, pl.Boolean)),
            on=PAYER,
            how="left",
        )
        .with_columns(
            pl.when("tiers", pl.col("processing_tier").is_in(PRICED_TIERS))
            .then("processing_tier")
            .otherwise(pl.lit(""))
            .alias("told_tier"),
            pl.when("regions").then("region").otherwise(pl.lit("")).alias("told_region"),
        )
    )


def _agreed(rows: pl.DataFrame, groups: pl.DataFrame, prices: PriceList, within: Days) -> pl.DataFrame:
    """The cells in which every token is accounted for at one price: `cell`, `card_id`, and `apart` where the invoice
    bills reasoning apart."""
    billed = rows.filter(pl.col("document") != USAGE_REPORT)
    calm = (
        billed.group_by(PAYER)
        .agg(pl.col("document").n_unique().alias("documents"), pl.col("days").max())
        .filter(pl.col("documents") == 1, pl.col("days") <= 1)
        .select(PAYER)
    )
    theirs = (
        billed.join(calm, on=PAYER, how="semi")
        .filter(_holds(within))
        .group_by("cell")
        .agg(
            _plain().all().alias("plain"),
            (pl.col("token_class") == _REASONING).any().alias("apart"),
            *(
                _tokens("quantity").filter(pl.col("token_class") == name).sum().alias(f"billed_{name}")
                for name in TOKENS
            ),
        )
        .filter("plain")
    )
    metered = (pl.col("completeness") == "measured") & (pl.col("priced") == 1)
    cards = [card_id for card_id, card in prices.by_id.items() if in_usd(card)]
    ours = (
        groups.group_by("cell")
        .agg(
            *(_tokens(name).filter(metered).sum().alias(name) for name in TOKENS),
            pl.col("card_id").filter(pl.col("card_id") != "").n_unique().alias("cards"),
            pl.col("card_id").filter(metered).first(),
            metered.any().alias("metered"),
        )
        .filter("metered", pl.col("cards") == 1, pl.col("card_id").is_in(cards))
    )
    same = [pl.col(f"billed_{name}") == pl.col(name) for name in TOKENS if name not in (_OUTPUT, _REASONING)]
    one_price = [card_id for card_id, card in prices.by_id.items() if _reasons_as_output(card)]
    together = (pl.col(f"billed_{_OUTPUT}") == pl.col(_OUTPUT) + pl.col(_REASONING)) & (
        (pl.col(_REASONING) == 0) | pl.col("card_id").is_in(one_price)
    )
    apart = (pl.col(f"billed_{_OUTPUT}") == pl.col(_OUTPUT)) & (pl.col(f"billed_{_REASONING}") == pl.col(_REASONING))
    return (
        theirs.join(ours, on="cell", how="inner")
        .filter(*same, pl.when("apart").then(apart).otherwise(together))
        .select("cell", "card_id", "apart")
    )


def _reasons_as_output(card: RateCard) -> bool:
    """Whether the card's price of a reasoning token is that of any other of output."""
    return card.unit_price(TokenClass.REASONING) == card.unit_price(TokenClass.OUTPUT)


def _plain() -> pl.Expr:
    """Rows that are tokens of a class, in dollars from end to end, and nothing else."""
    return (
        (pl.col("category") == USAGE)
        & (pl.col("correction") == 0)
        & pl.col("billing_currency").is_in(["", USD])
        & pl.col("pricing_currency").is_in(["", USD])
        & pl.col("token_class").is_in(TOKENS)
        & pl.col("quantity").is_not_null()
    )


def _tokens(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.Int128)


def _holds(within: Days) -> pl.Expr:
    return (pl.col("day") >= within.since) & (pl.col("day") < within.until)


def _lines(
    rows: pl.DataFrame, groups: pl.DataFrame, agreed: pl.DataFrame, prices: PriceList
) -> tuple[list[Line], set[int]]:
    """The lines of the agreed cells, and the cells whose amounts are not their price after all."""
    billed = rows.filter(pl.col("document") != USAGE_REPORT).join(agreed, on="cell", how="inner")
    by_line = billed.group_by("cell", "token_class").agg(
        pl.first(*CELL, "card_id", "apart"),
        *("model", "import_id", "row", "quantity", "amount", "scale"),
    )
    kept = groups.join(agreed, on="cell", how="semi")
    sources: dict[int, tuple[Source, ...]] = {
        cell: tuple(sorted({Source(*each) for each in zip(*columns, strict=True)}))
        for cell, *columns in kept.group_by("cell").agg("day", "model", "processing_tier", "region").iter_rows()
    }
    units: dict[tuple[str, str], Decimal] = {}
    lines: list[tuple[int, Line]] = []
    doubtful: set[int] = set()
    for row in by_line.iter_rows(named=True):
        card, token_class = prices.by_id[row["card_id"]], TokenClass(row["token_class"])
        key = (card.card_id, token_class.value)
        unit = units.get(key) or units.setdefault(key, card.unit_price(token_class) or Decimal(0))
        line = _line(row, card, token_class, unit, sources[row["cell"]])
        if line is None:
            doubtful.add(row["cell"])
        else:
            lines.append((row["cell"], line))
    return [line for cell, line in lines if cell not in doubtful], doubtful


def _line(
    row: Mapping[str, Any], card: RateCard, token_class: TokenClass, unit: Decimal, sources: tuple[Source, ...]
) -> Line | None:
    """One line whose tokens agree; None if its amounts are not their price by that card, rounded."""
    amounts = [Decimal(amount) for amount in row["amount"]]
    charges = [
        Charge(quantity, amount, EXACT.multiply(unit, Decimal(quantity)), scale)
        for quantity, amount, scale in zip(row["quantity"], amounts, row["scale"], strict=True)
    ]
    parts = split_charges(charges, token_class, card=card, others=())
    if any(part.variance_class is not VarianceClass.ROUNDING for part in parts):
        return None
    places = sorted(zip(row["import_id"], row["row"], strict=True))[:ROWS_NAMED_MAX]
    evidence = Evidence(card_id=card.card_id, rows=tuple(reference(*place) for place in places))
    tokens = sum(row["quantity"])
    with_reasoning = token_class is TokenClass.OUTPUT and not row["apart"]
    return Line(
        provider=row["provider"],
        account=row["account"],
        day=row["day"],
        model=row["named"],
        invoice_models=tuple(sorted(set(row["model"]))),
        token_class=token_class.value,
        sources=sources,
        classes=(TokenClass.OUTPUT, TokenClass.REASONING) if with_reasoning else (token_class,),
        billed_rows=len(amounts),
        billed_quantity=tokens,
        metered_quantity=tokens,
        invoiced=total(amounts),
        metered=EXACT.multiply(unit, Decimal(tokens)),
        card_id=card.card_id,
        unit_price=unit,
        scale=max(row["scale"]),
        import_ids=tuple(sorted(set(row["import_id"]))),
        parts=tuple(Part(part.variance_class, part.amount, evidence) for part in parts),
        processing_tier=row["told_tier"],
        region=row["told_region"],
    )


def _check_costs(attempts: pl.DataFrame, prices: PriceList) -> None:
    """The store's cost of all that a card metered must be the tokens times the card.

    Where it is not, or there is no such card, the group at fault is named by what is raised.
    """
    metered = attempts.filter(pl.col("completeness") == "measured", pl.col("priced") == 1)
    sums = metered.group_by("card_id").agg(*(_tokens(name).sum() for name in TOKENS), pl.col("cost_usd"))
    for row in sums.iter_rows(named=True):
        card = prices.by_id.get(row["card_id"])
        if card is not None and None not in row["cost_usd"]:
            tokens = [(card.unit_price(TokenClass(name)), row[name]) for name in TOKENS if row[name]]
            if all(unit is not None for unit, _ in tokens):
                ours = total(EXACT.multiply(unit or Decimal(0), Decimal(count)) for unit, count in tokens)
                if ours == total(row["cost_usd"]):
                    continue
        for group in metered.filter(pl.col("card_id") == row["card_id"]).iter_rows(named=True):
            check_cost(evidence.attempt_group(group), prices.by_id)


def _ledger(groups: pl.DataFrame, billed: Decimal) -> Ledger:
    """The totals of both sides, by other ways than the lines."""
    metered = groups.filter(pl.col("completeness") == "measured", pl.col("priced") == 1)
    costs = metered.get_column("cost_usd").to_list()
    unpriced = (pl.col("completeness") == "measured") & (pl.col("priced") == 0)
    payers = groups.group_by(PAYER).agg(
        pl.col("unmeasured").sum(), pl.col("attempts").filter(unpriced).sum().alias("unpriced")
    )
    found = {(provider, account): (left, without) for provider, account, left, without in payers.iter_rows()}
    return Ledger(
        billed=billed,
        metered=None if None in costs else total(costs),
        unmeasured={payer: left for payer, (left, _) in found.items()},
        unpriced={payer: without for payer, (_, without) in found.items()},
    )
