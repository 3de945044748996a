"""The result of a reconciliation: lines, each with the parts its variance is made of, each part with its evidence.

A line promises that its parts sum to invoiced minus metered, to the last digit; making one that does not raises. The
parts are found one by one, none as what is left of the others, so the check can fail.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from enum import StrEnum
from typing import NamedTuple

from gateway.domain.money import EXACT, plain
from gateway.domain.usage import TokenClass

OTHER = "other"
"""The token class of a billed line that is not tokens of a class we know; it is never dropped."""


class VarianceClass(StrEnum):
    """Why an invoice and the metered cost differ; where several have evidence for a cent, the first has it."""

    TAX = "TAX"
    """What the invoice calls a tax."""
    CREDIT = "CREDIT"
    """What the invoice calls a credit or a refund."""
    FEE = "FEE"
    """What the invoice calls a fee."""
    PURCHASE = "PURCHASE"
    """What the invoice calls a purchase: prepaid credit, reserved capacity."""
    FX = "FX"
    """What converting the vendor's price into the currency of the invoice made."""
    PRIOR_PERIOD_CORRECTION = "PRIOR_PERIOD_CORRECTION"
    """A correction of a period that was invoiced before."""
    DUPLICATE = "DUPLICATE"
    """The same row twice, or the same tokens billed twice."""
    UNTRACKED_CHARGE = "UNTRACKED_CHARGE"
    """Billed for a model to which the account made no attempt that day, and no neighbour lacks it."""
    UNBILLED_USAGE = "UNBILLED_USAGE"
    """Metered and not billed, neither there nor in a neighbour."""
    CUTOFF = "CUTOFF"
    """Billed on the day before or after."""
    MODEL_MAP = "MODEL_MAP"
    """Billed under another model's name."""
    CLASS_MIX = "CLASS_MIX"
    """As many tokens in all, billed as other token classes."""
    TIER_MIX = "TIER_MIX"
    """Billed as another processing tier, region or context band of the same model."""
    CANCELLED_STREAM = "CANCELLED_STREAM"
    """Tokens billed for attempts on which our side hung up: the client, a timeout, or a gateway that died."""
    RETRY_OR_FALLBACK = "RETRY_OR_FALLBACK"
    """Tokens billed for attempts the vendor failed after it had begun to answer."""
    RATE = "RATE"
    """Billed at another price, and a card row of the same model reproduces the amount."""
    VOLUME = "VOLUME"
    """Tokens billed for attempts that ended well but whose final usage never arrived, or that the vendor's own usage
    report counts."""
    ROUNDING = "ROUNDING"
    """What rounding at the file's last decimal place makes: one unit of it a row at most, and not all one way."""
    UNEXPLAINED = "UNEXPLAINED"
    """What no card row, no attempt and no neighbour accounts for."""


class IdentityBroken(ArithmeticError):
    """Parts that do not sum to invoiced minus metered. A fault of ours: nothing of such a month may be shown."""


@dataclass(frozen=True, slots=True)
class OutcomeEvidence:
    """The attempts of one outcome behind a part, and the tokens of the part's class that they saw."""

    outcome: str
    completeness: str
    attempts: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a part stands on."""

    note: str = ""
    card_id: str = ""
    """The card that explains the billed price (RATE), or by which tokens were priced; "" = no card."""
    outcomes: tuple[OutcomeEvidence, ...] = ()
    floor_tokens: int | None = None
    """Tokens that those attempts themselves saw; None = does not apply."""
    ceiling_tokens: int | None = None
    """The most that those attempts can have been billed for; None = does not apply."""
    attempt_ids: tuple[str, ...] = ()
    """A few of the attempts, the first in order; `outcomes` counts them all."""
    query: str = ""
    """What finds the attempts where none is named, because a rollup told of them; "" = some are, or there are none."""
    rows: tuple[str, ...] = ()
    """The invoice rows it stands on, `IMPORT:ROW` with the first digits of the file's hash."""

    @property
    def attempts(self) -> int:
        """How many attempts stand behind the part."""
        return sum(seen.attempts for seen in self.outcomes)

    def reference(self) -> str:
        """The evidence on one line, for a CSV column: `card=…; cancelled/estimated=3 (120 tokens); floor=120; …`."""
        pieces = [f"card={self.card_id}"] if self.card_id else []
        pieces += [
            f"{seen.outcome}/{seen.completeness}={seen.attempts} ({seen.tokens} tokens)" for seen in self.outcomes
        ]
        pieces += [f"floor={self.floor_tokens}"] if self.floor_tokens is not None else []
        pieces += [f"ceiling={self.ceiling_tokens}"] if self.ceiling_tokens is not None else []
        pieces += [f"attempts={' '.join(self.attempt_ids)}"] if self.attempt_ids else []
        pieces += [f"query={self.query}"] if self.query else []
        pieces += [f"rows={' '.join(self.rows)}"] if self.rows else []
        pieces += [self.note] if self.note else []
        return "; ".join(pieces)


@dataclass(frozen=True, slots=True)
class Part:
    """An amount of a line's variance, under one class. `tokens` is None where the part is not a count of tokens."""

    variance_class: VarianceClass
    amount: Decimal
    evidence: Evidence
    tokens: int | None = None


class Source(NamedTuple):
    """Which attempts of a payer a line takes in."""

    day: date
    model: str
    """As they asked for it."""
    processing_tier: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """The attempts whose tokens a line bills though they belong to another line, and those tokens' classes."""

    sources: tuple[Source, ...]
    classes: tuple[TokenClass, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One account x model x token class x tier x region x UTC day: billed, metered, and the parts between them."""

    provider: str
    account: str
    day: date
    model: str
    """The model as our cards and requests name it."""
    invoice_models: tuple[str, ...]
    """The names under which the invoice bills it; empty = not billed."""
    token_class: str
    """A TokenClass, or "other"."""
    sources: tuple[Source, ...] = ()
    """The attempts it takes in: of more than one model, tier or region where the invoice cannot tell them apart."""
    counterparts: tuple[Counterpart, ...] = ()
    """Whose tokens it bills too many of; empty = nobody's, as far as can be told."""
    classes: tuple[TokenClass, ...] = ()
    """The token classes it takes in: output takes in reasoning, unless that is billed apart; none for "other"."""
    billed_rows: int
    billed_quantity: int | None
    """Tokens billed; None = nothing billed, or the invoice does not say how many."""
    metered_quantity: int
    invoiced: Decimal
    metered: Decimal
    card_id: str
    unit_price: Decimal | None
    """The card's price of one token; None = no card, or the card does not price this class."""
    scale: int | None
    """Decimal places of the invoice's amounts; None = not billed."""
    import_ids: tuple[str, ...]
    parts: tuple[Part, ...]
    processing_tier: str = ""
    """The vendor's; "" = the default one, or the invoice tells none apart."""
    region: str = ""
    """"" = the invoice tells none apart that we know."""
    days: int = 1
    """UTC days from `day` that the line takes in: more than one where the invoice bills them together."""
    ambiguous: tuple[VarianceClass, ...] = ()
    """The classes between which an invoice of this grain cannot decide; their sum is exact. Empty = it can."""

    def __post_init__(self) -> None:
        """Raises IdentityBroken unless the parts sum to the variance exactly."""
        found = total(part.amount for part in self.parts)
        if found != self.variance:
            raise IdentityBroken(
                f"{self.provider}/{self.account} {self.model} {self.token_class} {self.day}: the parts sum to "
                f"{plain(found)}, invoiced minus metered is {plain(self.variance)}"
            )

    @property
    def variance(self) -> Decimal:
        """Invoiced minus metered."""
        return EXACT.subtract(self.invoiced, self.metered)

    @property
    def key(self) -> tuple[str, str, date, str, str, str, str]:
        """What makes the line one of its kind, and the order lines are kept in."""
        return (
            *(self.provider, self.account, self.day, self.model, self.token_class),
            *(self.processing_tier, self.region),
        )


ByClass = dict[VarianceClass, Decimal]


def by_class(lines: Iterable[Line]) -> ByClass:
    """The sum of the parts of each class, every class present."""
    sums = dict.fromkeys(VarianceClass, Decimal(0))
    for line in lines:
        for part in line.parts:
            sums[part.variance_class] = EXACT.add(sums[part.variance_class], part.amount)
    return sums


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum; raises decimal.Inexact rather than lose a digit."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))
