"""The matrix as a table, and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from deploy.chaos.scene import Result

HEADINGS = ("row", "moments", "kills", "acknowledged", "stored", "duplicates", "missing", "sums equal", "seconds", "")


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table: what came of it, or why there is nothing."""

    row: str
    result: Result | None = None
    why: str = ""
    not_run: bool = False
    """Whether this machine cannot play it; that is no failure, and is said."""

    @property
    def failed(self) -> bool:
        """Whether Tollway did not keep its word, or could not be asked."""
        return not self.not_run and (self.result is None or not self.result.holds)

    def as_json(self) -> dict[str, object]:
        """Flat; money as text."""
        line: dict[str, object] = {"row": self.row, "failed": self.failed, "note": self.why}
        if self.result is None:
            return line | {"not_run": self.not_run}
        verdict = self.result.verdict
        return line | {
            "moments": self.result.moments,
            "kills": self.result.kills,
            "acknowledged": verdict.acknowledged,
            "stored": verdict.stored,
            "duplicates": verdict.duplicates,
            "missing": verdict.missing,
            "strangers": verdict.strangers,
            "expected_usd": f"{verdict.expected_usd:f}",
            "stored_usd": f"{verdict.stored_usd:f}",
            "seconds": self.result.seconds,
            "books": self.result.books,
            "note": self.result.note,
        }


def show(lines: Sequence[Line], *, seed: int) -> None:
    """Print the table to stdout."""
    table = Table(title=f"kill matrix, seed {seed}: the generator's ledger against SQL")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in ("row", "") else "right")
    for line in lines:
        table.add_row(*_cells(line))
    Console(width=160).print(table)


def _cells(line: Line) -> list[str]:
    if line.result is None:
        return [line.row, *["-"] * 8, f"{'not run' if line.not_run else 'FAILED'}: {line.why}"]
    verdict = line.result.verdict
    counts = (
        line.result.moments,
        line.result.kills,
        verdict.acknowledged,
        verdict.stored,
        verdict.duplicates,
        verdict.missing,
    )
    equal = "yes" if verdict.sums_equal else f"NO: {verdict.expected_usd:f} sent, {verdict.stored_usd:f} stored"
    note = line.result.note + (f"; {verdict.strangers} were never sent" if verdict.strangers else "")
    note += f"; {line.result.books}" if line.result.books else ""
    return [line.row, *map(str, counts), equal, str(line.result.seconds), ("FAILED " if line.failed else "") + note]
