"""Books kept in memory, for pages and routes: two months of plausible traffic, and any state a store can be in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from analytics.reconciliation import Account, Evidence, Line, Part, Reconciliation, VarianceClass
from analytics.reconciliation.summary import unexplained_gross
from analytics.reconciliation.variance import OutcomeEvidence, by_class, total
from analytics.spend import Choices, Figures, Kpis
from analytics.windows import Window, month_window
from dashboards.filters import Filters

NOW = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)
MEASURES = {
    "cost_usd": pl.Decimal(38, 18),
    "requests": pl.UInt64,
    "attempts": pl.UInt64,
    "input_uncached": pl.UInt64,
    "cache_read": pl.UInt64,
    "cache_write_5m": pl.UInt64,
    "cache_write_1h": pl.UInt64,
    "output": pl.UInt64,
    "reasoning": pl.UInt64,
    "unmeasured": pl.UInt64,
    "unpriced": pl.UInt64,
}
ZERO = Decimal(0)


def attempt_row(**fields: object) -> dict[str, Any]:
    """One row of measures, with the fields that matter changed."""
    return {
        "day": date(2026, 11, 1),
        "alias": "fast",
        "tenant": "acme",
        "provider": "openai",
        "fallback_depth": 0,
        "cost_usd": ZERO,
        "fallback": ZERO,
        "cancelled": 0,
        **dict.fromkeys(list(MEASURES)[1:], 0),
        **fields,
    }


def traffic() -> list[dict[str, Any]]:
    """53 days over three aliases and four tenants: a quiet weekend rhythm, an outage on 12 November."""
    rows = []
    for n in range(53):
        day = date(2026, 10, 2) + timedelta(days=n)
        for a, (alias, unit) in enumerate((("fast", 131), ("deep", 911), ("batch-summaries", 47))):
            for t, tenant in enumerate(("acme", "globex", "initech", "umbrella")):
                weight = (5 if day.weekday() > 4 else 17) * (4 - t) * (3 - a) + (n * 7 + t * 3 + a) % 11
                outage = day == date(2026, 11, 12) and alias == "deep"
                for depth, part in ((0, 2 if outage else 20), (1, 14 if outage else 1), (2, 5 if outage else 0)):
                    count = weight * part
                    if count:
                        rows.append(
                            attempt_row(
                                day=day,
                                alias=alias,
                                tenant=tenant,
                                fallback_depth=depth,
                                provider="openai" if depth == 0 else "azure",
                                cost_usd=Decimal(count * unit) * Decimal("0.0000173"),
                                requests=count if depth == 0 else 0,
                                attempts=count,
                                input_uncached=count * 1100,
                                cache_read=count * 400,
                                output=count * 240,
                                reasoning=count * 60 if a == 1 else 0,
                                unmeasured=count // 97,
                                cancelled=count // 61,
                            )
                        )
    return rows


@dataclass
class MemoryBooks:
    """What StoreBooks answers, from rows in memory. `error` is raised by every question when it is set."""

    rows: list[dict[str, Any]] = field(default_factory=traffic)
    reconciliation: Reconciliation | None = None
    newest_at: datetime | None = NOW - timedelta(seconds=94)
    error: Exception | None = None

    def _within(self, window: Window, filters: Filters) -> list[dict[str, Any]]:
        if self.error:
            raise self.error
        return [
            row
            for row in self.rows
            if window.since.date() <= row["day"] <= (window.until - timedelta(microseconds=1)).date()
            and all(
                not getattr(filters, name) or row[name] in getattr(filters, name)
                for name in ("tenant", "alias", "provider")
            )
        ]

    def _grouped(self, rows: list[dict[str, Any]], *keys: str) -> pl.DataFrame:
        groups: dict[tuple[object, ...], dict[str, Any]] = {}
        for row in rows:
            held = groups.setdefault(
                tuple(row[key] for key in keys),
                {key: row[key] for key in keys} | {m: ZERO if m == "cost_usd" else 0 for m in MEASURES},
            )
            for name in MEASURES:
                held[name] += row[name]
        kinds = {"day": pl.Date, "fallback_depth": pl.UInt8, "alias": pl.String, "tenant": pl.String}
        schema = {key: kinds[key] for key in keys} | MEASURES
        return pl.DataFrame([groups[key] for key in sorted(groups)], schema=schema, orient="row")

    async def by_day_depth(self, window: Window, filters: Filters) -> pl.DataFrame:
        return self._grouped(self._within(window, filters), "day", "fallback_depth")

    async def by_alias_tenant(self, window: Window, filters: Filters) -> pl.DataFrame:
        return self._grouped(self._within(window, filters), "alias", "tenant")

    async def kpis(self, window: Window, filters: Filters) -> Kpis:
        return Kpis(self._figures(window, filters), self._figures(window.previous(), filters))

    def _figures(self, window: Window, filters: Filters) -> Figures:
        rows = self._within(window, filters)

        def sums(name: str) -> int:
            return sum(row[name] for row in rows)

        cost = sum((row["cost_usd"] for row in rows), ZERO)
        fallback = sum((row["cost_usd"] for row in rows if row["fallback_depth"]), ZERO)
        return Figures(
            cost_usd=cost,
            fallback_cost_usd=fallback,
            cache_saving_usd=Decimal(sums("cache_read")) * Decimal("0.000000075"),
            partial_cost_usd=Decimal(sums("unmeasured")) * Decimal("0.0001"),
            requests=sums("requests"),
            attempts=sums("attempts"),
            input_tokens=sums("input_uncached") + sums("cache_read"),
            cache_read_tokens=sums("cache_read"),
            output_tokens=sums("output") + sums("reasoning"),
            cancelled=sums("cancelled"),
            unmeasured=sums("unmeasured"),
            unpriced=sums("unpriced"),
        )

    async def choices(self, window: Window) -> Choices:
        if self.error:
            raise self.error
        rows = self.rows
        return Choices(
            *(tuple(sorted({str(row[name]) for row in rows})) for name in ("tenant", "alias", "provider")),
            ("org-main",),
        )

    async def month(self, month: str, now: datetime) -> Reconciliation:
        if self.error:
            raise self.error
        return self.reconciliation or reconciled([], [], month)

    async def newest(self) -> datetime | None:
        if self.error:
            raise self.error
        return self.newest_at

    async def ready(self) -> None:
        if self.error:
            raise self.error


def line(metered: str, *parts: tuple[VarianceClass, str], **fields: object) -> Line:
    """A line whose invoiced amount is metered plus its parts."""
    amounts = [Decimal(amount) for _, amount in parts]
    given = {
        "provider": "openai",
        "account": "org-main",
        "day": date(2026, 11, 3),
        "model": "gpt-4o-mini",
        "invoice_models": ("gpt-4o-mini",),
        "token_class": "output",
        "billed_rows": 1,
        "billed_quantity": 1_200_000,
        "metered_quantity": 1_190_000,
        "invoiced": total([Decimal(metered), *amounts]),
        "metered": Decimal(metered),
        "card_id": "openai/gpt-4o-mini@2023-01-01T00:00:00Z#1a2b3c4d",
        "unit_price": Decimal("0.0000006"),
        "scale": 6,
        "classes": (),
        "import_ids": ("f" * 64,),
    }
    evidence = fields.pop("evidence", Evidence())
    return Line(**{**given, **fields}, parts=tuple(Part(name, Decimal(amount), evidence) for name, amount in parts))  # type: ignore[arg-type]


def reconciled(lines: list[Line], accounts: list[Account], month: str = "2026-11") -> Reconciliation:
    return Reconciliation(
        month=month,
        window=month_window(month),
        lines=tuple(lines),
        accounts=tuple(accounts),
        invoiced=total(each.invoiced for each in lines),
        metered=total(each.metered for each in lines),
        by_class=by_class(lines),
        unexplained_gross=unexplained_gross(lines),
        card_ids=(),
        import_ids=(),
    )


def account(lines: list[Line], **fields: object) -> Account:
    given = {
        "unexplained_gross": unexplained_gross(lines),
        "provider": "openai",
        "account": "org-main",
        "currency": "USD",
        "invoiced": total(each.invoiced for each in lines),
        "metered": total(each.metered for each in lines),
        "by_class": by_class(lines),
        "billed_rows": len(lines),
        "tolerance": Decimal(1),
        "status": "matched",
        "invoiced_days": 22,
        "unmeasured": 0,
        "unpriced": 0,
        "import_ids": ("f" * 64,),
    }
    return Account(**{**given, **fields})  # type: ignore[arg-type]


def november() -> Reconciliation:
    """A month with something in every class, on two vendors."""
    hung_up = Evidence(
        "", "openai/gpt-4o-mini@2023", (OutcomeEvidence("cancelled", "estimated", 3, 412),), 412, 9_000, ("ab" * 16,)
    )
    first = []
    for n in range(22):
        day = date(2026, 11, 1) + timedelta(days=n)
        first.append(
            line(
                f"{11 + n % 5}.{n:02d}3171",
                *([(VarianceClass.ROUNDING, "0.0000004")] if n % 3 else []),
                day=day,
                token_class="input_uncached",
                unit_price=Decimal("0.00000015"),
            )
        )
        first.append(
            line(
                f"{21 + n % 7}.{n:02d}1",
                *([(VarianceClass.CANCELLED_STREAM, f"0.0{n + 11}42")] if n % 4 == 0 else []),
                day=day,
                evidence=hung_up,
            )
        )
    first.append(
        line(
            "2.10",
            (VarianceClass.UNEXPLAINED, "1.27"),
            model="gpt-4o",
            day=date(2026, 11, 9),
            evidence=Evidence("billed at more than any card row of this model gives", "openai/gpt-4o@2024"),
        )
    )
    first.append(
        line(
            "0",
            (VarianceClass.UNTRACKED_CHARGE, "3.5"),
            model="text-embedding-3-large",
            day=date(2026, 11, 14),
            token_class="input_uncached",
            metered_quantity=0,
            unit_price=None,
            evidence=Evidence("no attempt of this account and model that day"),
        )
    )
    second = [
        line(
            "88.4412",
            (VarianceClass.RATE, "2.11"),
            provider="azure",
            account="sub-eu",
            day=date(2026, 11, 12),
            model="gpt-4o",
        ),
        line(
            "31.2",
            (VarianceClass.RETRY_OR_FALLBACK, "0.84"),
            (VarianceClass.VOLUME, "0.31"),
            provider="azure",
            account="sub-eu",
            day=date(2026, 11, 12),
            token_class="reasoning",
            model="o3",
        ),
        line(
            "4.02",
            (VarianceClass.UNBILLED_USAGE, "-4.02"),
            provider="azure",
            account="sub-eu",
            day=date(2026, 11, 21),
            model="gpt-4o",
            billed_quantity=None,
            evidence=Evidence("no billed row", "azure/gpt-4o@2025", (OutcomeEvidence("ok", "measured", 118, 402_000),)),
        ),
    ]
    return reconciled(
        first + second,
        [
            account(first, status="unexplained", unmeasured=7),
            account(second, provider="azure", account="sub-eu", status="matched"),
        ],
    )
