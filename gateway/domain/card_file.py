"""Approved rate cards as files: one a version, never changed once written, each naming the hash of the one before.

A version holds every card of every key that was ever approved, the closed ones too. It speaks for those keys alone: a
card of the configuration file whose key no version holds is in force beside it, and one whose key a version holds was
taken over when it was first approved. The newest version is the book; who reads it checks it against its own hash.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from gateway.domain.rate_card import Multiplier, Provenance, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass

FORMAT = "tollway-rates/1"
NAME = re.compile(r"rates-\d{6}\.json")
_TEXTS = ("provider", "model", "account", "processing_tier", "snapshot", "region", "deployment", "modality")
_MORE = ("kind", "issuer", "currency")


class CardFileInvalid(ValueError):
    """A file of approved cards that is not what was approved; the message names it."""


@dataclass(frozen=True, slots=True)
class Approval:
    """Who made a version, when, and what it did to the past."""

    actor: str
    at: datetime
    reason: str = ""
    """Why prices of the past were stated anew; "" = they were not."""
    restated: tuple[str, ...] = ()
    """The ids of the cards whose past was stated anew."""


@dataclass(frozen=True, slots=True)
class CardFile:
    """One version of the approved cards."""

    version: int
    cards: tuple[RateCard, ...]
    approval: Approval
    previous: str = ""
    """The hash of the version before; "" = there is none."""

    @property
    def sha256(self) -> str:
        """What names the version: of all that it says."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    @property
    def name(self) -> str:
        """The file's."""
        return f"rates-{self.version:06}.json"

    def _text(self, sha256: str = "") -> str:
        whole = {
            "format": FORMAT,
            "version": self.version,
            "previous": self.previous,
            "approval": {**asdict(self.approval), "at": self.approval.at.isoformat()},
            "cards": [encode_card(card) for card in self.cards],
        }
        if sha256:
            whole["sha256"] = sha256
        return json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True) + "\n"

    def write(self, folder: Path) -> Path:
        """Put it on the disk, whole or not at all. Raises FileExistsError where that version is there: somebody was
        faster, and the book that this one was made from is no longer the newest."""
        folder.mkdir(parents=True, exist_ok=True)
        path, draft = folder / self.name, folder / f".{self.name}.{os.getpid()}"
        try:
            with draft.open("w", encoding="utf-8") as out:
                out.write(self._text(self.sha256))
                out.flush()
                os.fsync(out.fileno())
            os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return path


def newest_name(folder: Path) -> str:
    """The file of the newest version; "" = none was approved. Cheap enough to ask every few seconds."""
    try:
        return max((path.name for path in folder.iterdir() if NAME.fullmatch(path.name)), default="")
    except FileNotFoundError:
        return ""


def newest(folder: Path) -> CardFile | None:
    """The newest version. Raises CardFileInvalid, OSError."""
    name = newest_name(folder)
    return read(folder / name) if name else None


def read(path: Path) -> CardFile:
    """The version in that file. Raises CardFileInvalid where it is not what was written, OSError."""
    try:
        raw = json.loads(path.read_text("utf-8"))
        approval = raw["approval"]
        found = CardFile(
            version=int(raw["version"]),
            previous=str(raw["previous"]),
            approval=Approval(
                actor=str(approval["actor"]),
                at=datetime.fromisoformat(approval["at"]),
                reason=str(approval["reason"]),
                restated=tuple(approval["restated"]),
            ),
            cards=tuple(decode_card(card) for card in raw["cards"]),
        )
    except (ValueError, KeyError, TypeError, ArithmeticError, AttributeError) as fault:
        raise CardFileInvalid(f"{path}: no file of approved rate cards: {fault}") from fault
    if found.sha256 != raw.get("sha256") or found.name != path.name:
        raise CardFileInvalid(f"{path}: it was changed after it was approved; put it back, or remove it")
    return found


def together(configured: Iterable[RateCard], approved: CardFile | None) -> list[RateCard]:
    """The cards in force: those of the file, and of the configuration what no version has taken over."""
    if approved is None:
        return list(configured)
    taken = {card.key for card in approved.cards}
    return [*approved.cards, *(card for card in configured if card.key not in taken)]


def encode_card(card: RateCard) -> dict[str, Any]:
    """A card as JSON: what is not said is left out."""
    told = card.provenance
    said: dict[str, Any] = {name: getattr(card, name) for name in (*_TEXTS, *_MORE)}
    said |= {
        "prompt_from": card.prompt_from,
        "effective_from": card.effective_from.isoformat(),
        "effective_to": card.effective_to.isoformat() if card.effective_to else "",
        "unit_tokens": card.unit_tokens,
        "multipliers": [[one.name, f"{one.factor:f}"] for one in card.multipliers],
        "source": told.source,
        "captured_at": told.captured_at.isoformat() if told.captured_at else "",
        "sha256": told.sha256,
        "approved_by": told.approved_by,
        "approved_at": told.approved_at.isoformat() if told.approved_at else "",
        "version": told.version,
    }
    prices = {str(name): f"{price.normalize():f}" for name, price in sorted(card.per_million.items())}
    return {name: value for name, value in said.items() if value} | {"per_million": prices}


def decode_card(said: dict[str, Any]) -> RateCard:
    """The card that encode_card wrote. Raises RateCardInvalid, ValueError, KeyError, TypeError, ArithmeticError."""
    prices = {TokenClass(name): Decimal(price) for name, price in said["per_million"].items()}
    if not all(isinstance(price, str) for price in said["per_million"].values()):
        raise RateCardInvalid(f"{said['provider']}/{said['model']}: a price is not written as text")
    return RateCard(
        **{name: str(said.get(name, "")) for name in (*_TEXTS, *_MORE)},
        prompt_from=int(said.get("prompt_from", 0)),
        effective_from=datetime.fromisoformat(said["effective_from"]),
        effective_to=_instant(said.get("effective_to")),
        per_million=prices,
        unit_tokens=int(said.get("unit_tokens", 1_000_000)),
        multipliers=tuple(Multiplier(name, Decimal(factor)) for name, factor in said.get("multipliers", ())),
        provenance=Provenance(
            source=said.get("source", ""),
            captured_at=_instant(said.get("captured_at")),
            sha256=said.get("sha256", ""),
            approved_by=said.get("approved_by", ""),
            approved_at=_instant(said.get("approved_at")),
            version=int(said.get("version", 0)),
        ),
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
