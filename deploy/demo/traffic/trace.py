"""The bundled slice of the trace, and its arrival times sped up. Pure but for reading the file."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files

SLICE = "azure_llm_code_2023_slice.csv"

_MICROSECONDS_END = len("2023-11-16 18:41:00.123456")


@dataclass(frozen=True, slots=True)
class Arrival:
    """One row: seconds after the first, tokens of the prompt, tokens of the answer (at least one each)."""

    at_s: float
    context_tokens: int
    generated_tokens: int


def load() -> list[Arrival]:
    """The slice in the order of arrival, its first row at 0."""
    rows = list(csv.DictReader((files(__package__) / SLICE).read_text("ascii").splitlines()))
    instants = [datetime.fromisoformat(row["TIMESTAMP"][:_MICROSECONDS_END]) for row in rows]
    return [
        Arrival(
            (instant - instants[0]).total_seconds(),
            max(1, int(row["ContextTokens"])),
            max(1, int(row["GeneratedTokens"])),
        )
        for instant, row in zip(instants, rows, strict=True)
    ]


def speed_up(trace: Sequence[Arrival], *, count: int, seconds: float) -> list[Arrival]:
    """The first `count` arrivals, each gap shrunk (or stretched) by one factor so that the last comes at `seconds`.

    Beyond its end the trace starts again, one mean gap after its last row. Raises ValueError for an empty trace.
    """
    if not trace:
        raise ValueError("the trace is empty")
    lap_s = trace[-1].at_s * len(trace) / max(1, len(trace) - 1)
    chosen = [
        replace(trace[i % len(trace)], at_s=trace[i % len(trace)].at_s + lap_s * (i // len(trace)))
        for i in range(count)
    ]
    factor = seconds / chosen[-1].at_s if chosen and chosen[-1].at_s else 0.0
    return [replace(arrival, at_s=arrival.at_s * factor) for arrival in chosen]
