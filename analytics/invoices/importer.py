"""What a format promises: how it is told, what kind of document it is, and how its rows are read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from analytics.invoices.entries import Covered, Document, Entry, LeftOut, Reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Importer:
    """One format of file."""

    name: str
    """As the store keeps it, such as openai_costs_csv."""
    title: str
    """For people: "OpenAI's cost export (CSV of the dashboard)"."""
    document: Document
    read: Reader
    required: tuple[str, ...] = ()
    """Columns of a table that must be there; () = it is JSON."""
    told_by: tuple[str, ...] = ()
    """Columns by which a table is known to be of this format even where others are missing."""
    gaps_are_empty: bool = False
    """A day without rows between the first and the last one had no charges: the format has no rows for such days."""


def of_organization(importer: Importer, organization: str) -> Importer:
    """The importer that takes only what the file says is of this organization; the rest is left out and counted."""
    read = partial(_of_organization, importer.read, organization)
    return replace(importer, name=f"{importer.name} of {organization}", read=read)


def _of_organization(read: Reader, organization: str, path: Path) -> Iterator[Covered]:
    for day, entry in read(path):
        is_others = isinstance(entry, Entry) and entry.organization != organization
        yield day, LeftOut(f"not of organization {organization}") if is_others else entry
