"""Writes a month's files for finance: the same month gives the same bytes, and the manifest proves they belong together."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from clickhouse_connect.driver.client import Client


class ControlBroken(ArithmeticError):
    """Totals that should be equal are not. Nothing was written."""


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of the pack."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What manifest.json says, and where the files are."""

    month: str
    directory: Path
    files: tuple[PackFile, ...]
    invoiced: Decimal
    metered: Decimal
    by_class: Mapping[str, Decimal]
    unexplained: Decimal
    card_ids: tuple[str, ...]
    import_ids: tuple[str, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file of the pack, the manifest last."""
        raise NotImplementedError


def write_month(client: Client, month: str, out_dir: Path, *, now: datetime) -> Manifest:
    """Write recon_summary.csv, recon_lines.csv, recon_by_alias_tenant.csv and manifest.json of a UTC month into `out_dir`.

    Each file appears whole or not at all; the manifest is written last. `now` only guards against a month that has not
    begun (MonthInvalid); nothing of it reaches the files. Raises ControlBroken before writing when totals disagree.
    """
    raise NotImplementedError
