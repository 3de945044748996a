"""Our own side of a month: whole days from the rollup of totals, and from the facts what it lacks.

A rollup holds what is metered. What a vendor may bill beyond that (attempts without final usage, or without a price) is
looked for in the facts, and taken off the rollup where it is counted there: both together are what recon_attempts says
of the facts alone. Days that are not rolled up are read from the facts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.client import Client

import sql
from analytics.reconciliation.facts import OUTPUT_CEILING_DEFAULT
from analytics.reconciliation.grain import DAY
from analytics.rollups.sources import areach, day_of, reach
from analytics.windows import Window
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import TokenClass

KEY = ("provider", "account", "model", "day", "region", "card_id")
TOKENS = tuple(token_class.value for token_class in TokenClass)
COUNTS = ("attempts", *TOKENS)


class RollupBehind(LookupError):
    """The facts of a day hold more than its rollup: it is about to be rebuilt. Reconcile again."""


@dataclass(frozen=True, slots=True)
class Spans:
    """A window and the day on either side of it, cut where the rollup of totals begins and ends."""

    before: Window | None
    totals: Window | None
    after: Window | None


def spans(window: Window, totals_until: datetime | None) -> Spans:
    """Which parts of the window the rollup answers for."""
    whole = around(window)
    first = day_of(whole.since) if whole.since == day_of(whole.since) else day_of(whole.since) + DAY
    last = min(day_of(whole.until), totals_until or first)
    if last <= first:
        return Spans(None, None, whole)
    return Spans(_window(whole.since, first), _window(first, last), _window(last, whole.until))


def around(window: Window) -> Window:
    """The window and a day on either side, over whose edges usage may be billed."""
    return Window(window.since - DAY, window.until + DAY)


def _window(since: datetime, until: datetime) -> Window | None:
    return Window(since, until) if since < until else None


def question(
    window: Window, *, by_owner: bool = False, unmetered_only: bool = False, unpriced: Sequence[str] = ()
) -> dict[str, object]:
    """The parameters of recon_attempts."""
    return {
        "since": window.since,
        "until": window.until,
        "output_ceiling": OUTPUT_CEILING_DEFAULT,
        "by_owner": by_owner,
        "unmetered_only": unmetered_only,
        "unpriced": list(unpriced),
    }


def fetch(client: Client, window: Window, book: RateBook) -> pl.DataFrame:
    """The attempts of the window and a day on either side, as recon_attempts has them.

    Metered ones have no ids where they are read from the rollup. Raises RollupBehind.
    """
    parts = spans(window, reach(client).totals_until)
    frames = [sql.fetch(client, "recon_attempts", **question(each)) for each in (parts.before, parts.after) if each]
    if parts.totals is not None:
        totals = sql.fetch(client, "recon_totals", since=parts.totals.since, until=parts.totals.until)
        asked = question(parts.totals, unmetered_only=True, unpriced=_unpriced(totals))
        frames.append(joined(totals, sql.fetch(client, "recon_attempts", **asked), book))
    return pl.concat(frames)


async def afetch(client: AsyncClient, window: Window, book: RateBook) -> pl.DataFrame:
    """As fetch."""
    parts = spans(window, (await areach(client)).totals_until)
    frames = [
        await sql.afetch(client, "recon_attempts", **question(each)) for each in (parts.before, parts.after) if each
    ]
    if parts.totals is not None:
        totals = await sql.afetch(client, "recon_totals", since=parts.totals.since, until=parts.totals.until)
        asked = question(parts.totals, unmetered_only=True, unpriced=_unpriced(totals))
        frames.append(joined(totals, await sql.afetch(client, "recon_attempts", **asked), book))
    return pl.concat(frames)


def _unpriced(totals: pl.DataFrame) -> list[str]:
    """The models of which some attempts have no price."""
    names = totals.filter(pl.col("unpriced") > 0).select(pl.concat_str("provider", "model", separator="/")).to_series()
    return sorted(names.unique().to_list())


def joined(totals: pl.DataFrame, unmetered: pl.DataFrame, book: RateBook) -> pl.DataFrame:
    """The unmetered attempts, and the metered ones: what the rollup counts but for them."""
    measured = pl.col("completeness") == "measured"
    beside = unmetered.group_by(KEY).agg(
        pl.col("attempts").sum().alias("other_attempts"),
        *(pl.col(name).filter(measured).sum().alias(f"other_{name}") for name in TOKENS),
    )
    tiers = {card.card_id: card.processing_tier for card in book.cards}
    left = totals.filter(pl.col("card_id") != "").join(beside, on=KEY, how="left")
    metered = left.with_columns(
        *(
            (pl.col(name).cast(pl.Int128) - pl.col(f"other_{name}").cast(pl.Int128).fill_null(0)).alias(name)
            for name in COUNTS
        ),
        pl.col("card_id").replace_strict(tiers, default="", return_dtype=pl.String).alias("processing_tier"),
    )
    if metered.select(pl.any_horizontal((pl.col(name) < 0).any() for name in COUNTS)).item():
        behind = metered.filter(pl.any_horizontal(pl.col(name) < 0 for name in COUNTS)).row(0, named=True)
        raise RollupBehind(f"the rollup of {behind['day']} lacks attempts of {behind['provider']}/{behind['account']}")
    metered = metered.filter(pl.col("attempts") > 0)
    constants = {
        **dict.fromkeys(("tenant", "alias", "tier", "fallback_reason"), ""),
        "fallback_depth": 0,
        "outcome": "ok",
        "completeness": "measured",
        "priced": 1,
        "unmeasured": 0,
        "request_bytes": 0,
        "output_ceiling": 0,
    }
    schema = unmetered.schema
    whole = metered.with_columns(
        *(pl.lit(value).cast(schema[name]).alias(name) for name, value in constants.items()),
        pl.lit([], dtype=schema["attempt_ids"]).alias("attempt_ids"),
    )
    return pl.concat([unmetered, whole.select(pl.col(name).cast(schema[name]) for name in unmetered.columns)])
