"""Why an invoice file was not taken: which file, where in it, what was found and what is accepted."""

from pathlib import Path


class InvoiceInvalid(ValueError):
    """A file that is of another kind, is damaged, or says what cannot be so. Nothing of it was kept."""

    def __init__(self, path: Path, problem: str, *, place: str = "") -> None:
        """`place` is where in the file, such as "line 7, column amount_value"."""
        self.path = path
        self.place = place
        self.problem = problem
        super().__init__(f"{path.name}{f', {place}' if place else ''}: {problem}")


class ValueBad(ValueError):
    """One value that cannot be read. Readers catch it and add the place."""
