"""A pack made of values alone: a month of a few lines, drafted and rendered, without a store."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from analytics import pack
from analytics.allocation import OwnedGroup, Owner, owner_sums, share_lines
from analytics.corrections import COLUMNS
from analytics.exports import Draft
from analytics.focus import cost_and_usage
from analytics.focus.cost_and_usage import Charged, Document
from analytics.pack import Activity, Table
from analytics.reconciliation import AttemptGroup, BilledRow, reconcile_lines
from analytics.reconciliation.summary import Coverage, Ledger, summarise
from analytics.reconciliation.variance import total
from analytics.windows import month_window
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import TokenClass, Usage
from tests.analytics.recon_builders import CACHED, IN, OUT, billed, card, group

IMPORT = "ab" * 32
ARRIVED = datetime(2026, 12, 1, 6, tzinfo=UTC)
ACME, GLOBEX = Owner("acme", "fast", "interactive", 0, ""), Owner("globex", "deep", "agent", 1, "timeout")
BOOK = RateBook([card()])
MONTH = "2026-11"
ROWS = [
    billed("0.000150", 1000, IN, row=1),
    billed("0.000030", 400, CACHED, row=2),
    billed("0.0106", 1000, OUT, row=3),
    billed("0.5", None, "other", model="", row=4, reason="web search"),
]
GROUPS = [group(tokens=Usage(input_uncached=600, cache_read=400, output=700)), group(tokens=Usage(input_uncached=400))]


def draft(
    rows: Sequence[BilledRow] = tuple(ROWS),
    groups: Sequence[AttemptGroup] = tuple(GROUPS),
    previous: Mapping[str, bytes] | None = None,
) -> Draft:
    """The month drafted: acme has the first group of attempts, globex the rest."""
    came = [replace(row, import_id=IMPORT) for row in rows]
    window = month_window(MONTH)
    lines = reconcile_lines(came, groups, BOOK)
    covered = [Coverage("openai", "org-main", IMPORT, "USD", 30)]
    whole = summarise(MONTH, window, lines=lines, ledger=Ledger.of(came, groups), coverage=covered)
    owned = [OwnedGroup(GLOBEX if number else ACME, each) for number, each in enumerate(groups)]
    shares = share_lines(lines, owned, BOOK)
    did = {ACME: Activity(tokens=dict.fromkeys(TokenClass, 0), metered=total(line.metered for line in lines))}
    documents = {IMPORT: Document(IMPORT, ARRIVED)}
    charged = [Charged(line, share) for line, share in zip(lines, shares, strict=True)]
    return Draft(
        reconciliation=whole,
        owners=pack.by_alias_tenant(owner_sums(lines, shares), did),
        corrections=Table("recon_corrections.csv", COLUMNS, ()),
        charges=tuple(cost_and_usage.rows(window, charged, documents)),
        documents=documents,
        previous=previous or {},
    )
