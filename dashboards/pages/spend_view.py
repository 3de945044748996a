"""The Spend page's answer in words and cards. Pure: an answer goes in, components come out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
from dash import dcc

from analytics.spend import Figures
from dashboards import formats
from dashboards.components import states
from dashboards.components.cards import Kpi, kpi
from dashboards.filters import Filters
from dashboards.periods import window_label
from dashboards.questions import Spend

LABELS = ("Spend", "Spent on fallbacks", "Cancelled attempts", "Saved by the vendors' caches")


def kpis(answer: Spend) -> list[Any]:
    """The four headline figures, each against the window before."""
    now, before = answer.kpis.current, answer.kpis.previous
    against = window_label(answer.window.previous())
    return [
        kpi(card)
        for card in (
            _spend(answer, against),
            _fallbacks(answer, against),
            _cancelled(now, before, against),
            _cache(answer, against),
        )
    ]


def notices(answer: Spend, filters: Filters, now: datetime) -> list[Any]:
    """What a reader has to know before trusting the figures; the worst first."""
    said: list[Any] = [
        states.alert("warning", "Part of this address was not understood", fault) for fault in filters.faults
    ]
    if filters.account:
        wider = replace(filters, account=())
        link = dcc.Link("Show all accounts", href=f"/spend?{wider.query()}")
        said.append(states.alert("info", f"Narrowed to account {', '.join(filters.account)}", link, "."))
    if not answer.by_alias_tenant.height:
        period = filters.period
        elsewhere = filters.narrowed() and any((answer.choices.aliases, answer.choices.tenants))
        said.append(
            states.nothing_matches(f"/spend?{Filters(period).query()}")
            if elsewhere
            else states.no_traffic(period.label, answer.newest, now)
        )
    elif not answer.agrees:
        said.append(
            states.alert(
                "info",
                "Traffic is landing while this page is read",
                "The headline and the rows are some moments apart. Read again for a settled view.",
            )
        )
    return said


def _spend(answer: Spend, against: str) -> Kpi:
    now, before = answer.kpis.current, answer.kpis.previous
    return Kpi(
        "spend-kpi-total",
        LABELS[0],
        answer.style.money(now.cost_usd),
        formats.exact(now.cost_usd),
        _change(now.cost_usd, before.cost_usd, against),
        _left_out(now, answer.style),
        floor=now.is_floor,
    )


def _fallbacks(answer: Spend, against: str) -> Kpi:
    now, before = answer.kpis.current, answer.kpis.previous
    deeper = answer.by_day_depth.filter(pl.col("fallback_depth") > 0)
    left = int(deeper["unmeasured"].sum()) + int(deeper["unpriced"].sum())
    part = (
        f"{formats.share(now.fallback_cost_usd, now.cost_usd)} of the spend, at depth 1 and deeper"
        if now.cost_usd
        else ""
    )
    return Kpi(
        "spend-kpi-fallback",
        LABELS[1],
        answer.style.money(now.fallback_cost_usd),
        formats.exact(now.fallback_cost_usd),
        _change(now.fallback_cost_usd, before.fallback_cost_usd, against),
        f"{part}; leaves out {formats.plural(left, 'attempt')}" if left else part,
        floor=bool(left),
    )


def _cancelled(now: Figures, before: Figures, against: str) -> Kpi:
    part = formats.share(Decimal(now.cancelled), Decimal(now.attempts))
    unmeasured = f"; {formats.count(now.unmeasured)} have no final usage" if now.unmeasured else ""
    return Kpi(
        "spend-kpi-cancelled",
        LABELS[2],
        formats.count(now.cancelled),
        str(now.cancelled),
        _change(Decimal(now.cancelled), Decimal(before.cancelled), against),
        f"{part} of {formats.plural(now.attempts, 'attempt')}{unmeasured}" if now.attempts else "",
    )


def _cache(answer: Spend, against: str) -> Kpi:
    now, before = answer.kpis.current, answer.kpis.previous
    part = formats.share(Decimal(now.cache_read_tokens), Decimal(now.input_tokens))
    return Kpi(
        "spend-kpi-cache",
        LABELS[3],
        answer.style.money(now.cache_saving_usd),
        formats.exact(now.cache_saving_usd),
        _change(now.cache_saving_usd, before.cache_saving_usd, against),
        f"{part} of input tokens were read from a cache" if now.input_tokens else "",
    )


def _left_out(now: Figures, style: formats.Style) -> str:
    """What the spend does not hold, in words; empty when it holds everything."""
    left = []
    if now.unmeasured:
        seen = f" (their running counts come to {style.money(now.partial_cost_usd)})" if now.partial_cost_usd else ""
        left.append(f"{formats.plural(now.unmeasured, 'attempt')} without final usage{seen}")
    if now.unpriced:
        left.append(f"{formats.plural(now.unpriced, 'attempt')} without a price")
    if left:
        return f"Leaves out {' and '.join(left)}"
    return "Every attempt is measured and priced" if now.attempts else ""


def _change(now: Decimal, before: Decimal, against: str) -> str:
    said = formats.change(now, before)
    if said == formats.NOTHING_BEFORE:
        return f"Nothing in {against} to compare with"
    return f"{said[:1].upper()}{said[1:]} against {against}"
