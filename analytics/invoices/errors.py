"""Why an invoice file was not taken. The message names the file, the place in it, what was found and what is accepted."""

from pathlib import Path


class InvoiceInvalid(ValueError):
    """A file that is of another kind, damaged, or says something that cannot be so. Nothing of it was kept."""

    def __init__(self, path: Path, problem: str, *, place: str = "") -> None:
        self.path = path
        self.place = place
        self.problem = problem
        super().__init__(f"{path.name}{f', {place}' if place else ''}: {problem}")
