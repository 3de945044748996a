"""What a reconciliation is made from, as frozen values: billed rows on one side, groups of attempts on the other.

The core sees these and the rate cards, and nothing else: no store, no clock, no file.
"""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from gateway.domain.attempt import Outcome
from gateway.domain.usage import NO_USAGE, Completeness, Usage

USAGE = "Usage"

OUTPUT_CEILING_DEFAULT = 16_384
"""Output tokens that an attempt is taken to be capable of when its request gave no bound of its own."""


def reference(import_id: str, row: int) -> str:
    """Where a row is found: `IMPORT:ROW`, with the first digits of the file's hash."""
    return f"{import_id[:12]}:{row}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledRow:
    """One row of an invoice or cost export."""

    provider: str
    account: str
    day: date
    model: str
    """As the invoice names it; "" = the row names no model."""
    token_class: str
    """A TokenClass, or "other"."""
    quantity: int | None
    """Tokens; None = the row does not say, or is not about tokens."""
    amount: Decimal
    scale: int
    """Decimal places to which the vendor rounds in this file."""
    import_id: str = ""
    row: int = 0
    """Where in the file; only to tell rows apart."""
    reason: str = ""
    """Why the class is "other"; "" = it is not."""
    category: str = USAGE
    """FOCUS' charge category: Usage, Tax, Credit, Refund, Fee, Purchase or Adjustment."""
    correction: bool = False
    """Of a period that was invoiced before."""
    processing_tier: str = ""
    """The vendor's; "" = the default one, or not told."""
    region: str = ""
    days: int = 1
    """UTC days from `day` that the row bills together."""
    priced: Decimal | None = None
    """What the vendor's price comes to in USD, where the invoice converted it; None = it did not."""
    identity: str = ""
    """What else tells one row of a file from another: what it bills when, for which project and key, its number."""
    request_id: str = ""
    """The one request it bills; "" = a sum of several."""
    invoice_id: str = ""

    @property
    def reference(self) -> str:
        """Where the row is found: `IMPORT:ROW`."""
        return reference(self.import_id, self.row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Tokens of one class that the vendor's own usage report counts: an invoice is held against these too."""

    provider: str
    account: str
    day: date
    model: str
    token_class: str
    quantity: int
    processing_tier: str = ""
    region: str = ""
    import_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptGroup:
    """The attempts of one account, model and UTC day that ended alike and are priced by one card."""

    provider: str
    account: str
    model: str
    """The model asked of the upstream."""
    day: date
    outcome: Outcome
    completeness: Completeness
    priced: bool = True
    """Whether the store could price each of them; metered = measured and priced."""
    card_id: str = ""
    processing_tier: str = ""
    """The one that the vendor says it used; "" = the default one."""
    region: str = ""
    attempts: int = 1
    unmeasured: int = 0
    """How many of them a vendor may bill without having told the final usage, as rated_attempts has it."""
    tokens: Usage = NO_USAGE
    cost_usd: Decimal | None = None
    """Their metered cost in the store's own arithmetic; None = not metered. Checked against tokens times card."""
    request_bytes: int = 0
    output_ceiling: int = 0
    """Sum over the attempts of their output bound (max_output_tokens, or OUTPUT_CEILING_DEFAULT)."""
    attempt_ids: tuple[str, ...] = ()
    """A few of them, the first in order."""

    @property
    def sent(self) -> bool:
        """Whether a vendor can have billed these: a refused attempt never left the house."""
        return self.outcome is not Outcome.REFUSED

    @property
    def metered(self) -> bool:
        """Whether these count as metered cost: the vendor's own usage arrived and every class of it has a price."""
        return self.sent and self.priced and self.completeness is Completeness.MEASURED


@dataclass(frozen=True, slots=True)
class Snapshot:
    """That attempts of an account which asked for `model` were answered by `response_model`."""

    provider: str
    account: str
    model: str
    response_model: str
