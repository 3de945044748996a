"""What a format promises: how it is told, what kind of document it is, and how its rows are read."""

from dataclasses import dataclass

from analytics.invoices.entries import Document, Reader


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
