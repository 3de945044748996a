"""What an invoice calls a model, and what we call it.

An invoice's name is the model we asked for, or the snapshot that the vendor's answers to that account named for it
(we ask for gpt-4o-mini, the answer and the invoice say gpt-4o-mini-2024-07-18). What answers were seen to say counts
first. A snapshot that no answer named (the only call was lost, say) is read by OpenAI's rule for naming them, a model
and its date, and then only if that model was asked for. Names that share a snapshot are one model here, since the
invoice cannot tell them apart.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from analytics.reconciliation.facts import Snapshot
from gateway.domain.rate_card import RateBook

SNAPSHOT = re.compile(r"(?P<model>.+)-20\d\d-\d\d-\d\d")

Payer = tuple[str, str]
"""(provider, account)."""


class ModelNames:
    """Every name of a model that an account used or was billed under, to the one name its lines carry."""

    def __init__(self, canonical: Mapping[tuple[Payer, str], str]) -> None:
        self._canonical = dict(canonical)

    def of(self, provider: str, account: str, name: str) -> str:
        """The model behind a name; a name that nothing is known of stands for itself."""
        return self._canonical.get(((provider, account), name), name)


Named = tuple[str, str, str]
"""(provider, account, model)."""


def resolve(
    billed: Iterable[Named], attempts: Iterable[Named], snapshots: Iterable[Snapshot], book: RateBook
) -> ModelNames:
    """Join the names billed by what answers to attempts said.

    The one kept is a model asked for, one with a card before one without. `attempts` are those that were sent.
    """
    names_billed: dict[Payer, set[str]] = defaultdict(set)
    names_asked: dict[Payer, set[str]] = defaultdict(set)
    asked_by_answer: dict[Payer, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for provider, account, model in billed:
        names_billed[provider, account].add(model)
    for provider, account, model in attempts:
        names_asked[provider, account].add(model)
    for seen in snapshots:
        asked_by_answer[seen.provider, seen.account][seen.response_model].add(seen.model)
    carded = {(card.provider, card.model) for card in book.cards}
    canonical: dict[tuple[Payer, str], str] = {}
    for payer, names in names_billed.items():
        asked = names_asked[payer]
        for together in _joined(names, asked, asked_by_answer[payer]):
            chosen = min(together, key=lambda name: (name not in asked, (payer[0], name) not in carded, name))
            canonical.update({(payer, name): chosen for name in together})
    return ModelNames(canonical)


def spelt(name: str) -> set[str]:
    """The model that a dated name is a snapshot of, by its spelling."""
    match = SNAPSHOT.fullmatch(name)
    return {match["model"]} if match else set()


def _joined(billed: set[str], asked: set[str], asked_by_answer: Mapping[str, set[str]]) -> list[set[str]]:
    """The billed names with the models asked for that they stand for, as disjoint sets."""
    together: list[set[str]] = []
    for name in sorted(billed):
        # A model billed under its own name needs no other, so a name asked for itself only takes in the unbilled ones.
        behind = asked_by_answer.get(name) or spelt(name) & asked
        joined = {name} | (behind - billed if name in asked else behind)
        for other in [known for known in together if known & joined]:
            joined |= other
            together.remove(other)
        together.append(joined)
    return together
