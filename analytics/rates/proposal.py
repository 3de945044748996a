"""What was read elsewhere and is not yet approved: kept as a file, so that what is approved is what was shown."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from gateway.domain.card_file import decode_card, encode_card
from gateway.domain.rate_card import RateCard

FILE = "pending.json"


class NothingPending(LookupError):
    """There is nothing to show or to approve."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A model whose price there cannot be told as a card."""

    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Proposal:
    """Cards as one source has them now."""

    source: str
    captured_at: datetime
    sha256: str
    """Of what was read."""
    cards: tuple[RateCard, ...]
    skipped: tuple[Skipped, ...] = ()
    at_approval: bool = False
    """No instant was asked for: what begins as it was read begins as it is approved, so that nothing reaches back."""

    def beginning(self, now: datetime) -> "Proposal":
        """The same, were it approved now."""
        if not self.at_approval:
            return self
        begun = (
            replace(one, effective_from=now) if one.effective_from == self.captured_at else one for one in self.cards
        )
        return replace(self, cards=tuple(begun))

    @property
    def fingerprint(self) -> str:
        """What an approval names: of all the cards proposed."""
        whole = json.dumps([encode_card(card) for card in self.cards], sort_keys=True)
        return hashlib.sha256(whole.encode()).hexdigest()

    def save(self, folder: Path) -> Path:
        """Keep it as the one that is pending; another that was is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        whole = {
            "source": self.source,
            "captured_at": self.captured_at.isoformat(),
            "sha256": self.sha256,
            "cards": [encode_card(card) for card in self.cards],
            "at_approval": self.at_approval,
        }
        draft = folder / f".{FILE}.{os.getpid()}"
        draft.write_text(json.dumps(whole, indent=1, ensure_ascii=False), "utf-8")
        draft.replace(folder / FILE)
        return folder / FILE


def pending(folder: Path) -> Proposal:
    """The proposal that waits. Raises NothingPending, which names what is wrong with the file where there is one."""
    try:
        raw = json.loads((folder / FILE).read_text("utf-8"))
        return Proposal(
            source=raw["source"],
            captured_at=datetime.fromisoformat(raw["captured_at"]),
            sha256=raw["sha256"],
            cards=tuple(decode_card(card) for card in raw["cards"]),
            at_approval=bool(raw["at_approval"]),
        )
    except FileNotFoundError:
        raise NothingPending("no rate cards are pending; read some with `tollway rates import`") from None
    except (ValueError, KeyError, TypeError, ArithmeticError) as fault:
        raise NothingPending(f"{folder / FILE} cannot be read ({fault}); import again") from fault
