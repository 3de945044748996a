"""What is wrong with a configuration: each fault with its place and the way out, all of them at once."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong, at a path such as `aliases.fast.targets[0].upstream`."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}" if self.path else self.problem


class ConfigError(Exception):
    """A configuration that cannot be used; `faults` has every reason."""

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(faults)
        lines = "".join(f"\n  {fault}" for fault in self.faults)
        super().__init__(f"{source}: {len(self.faults)} fault{'s' if len(self.faults) != 1 else ''}{lines}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or the choices where there are few, or nothing."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    if 0 < len(names) <= 8:
        return "; known: " + ", ".join(names)
    return ""


def dotted(location: Iterable[int | str]) -> str:
    """A path as an operator would write it: `tiers.agent.max_inflight`, `rate_cards[2].model`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else (f".{part}" if text else part)
    return text
