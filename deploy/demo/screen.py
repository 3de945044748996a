"""What a person sees while the demo runs: steps and a progress bar, on stderr only."""

from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Screen(Protocol):
    """Told what the demo does."""

    def step(self, text: str) -> None:
        """A step begins."""

    def traffic(self, done: int, total: int) -> None:
        """So many of the requests have ended."""


class Bars:
    """A bar on stderr; use it as a context manager. On something that is no terminal it writes each step as a line."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar = self._progress.add_task("requests", total=None, visible=False)

    def __enter__(self) -> "Bars":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, text: str) -> None:
        """Write the step above the bar."""
        self._progress.console.print(f"demo: {text}", highlight=False, markup=False, soft_wrap=True)

    def traffic(self, done: int, total: int) -> None:
        """Move the bar."""
        self._progress.update(self._bar, completed=done, total=total, visible=done < total)
