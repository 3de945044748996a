"""The scheduled work: loads the rate cards, audits closed hours for duplicates, reconciles the open month each night.

One thin loop around a pure decision of what is due. Its figures are on a small HTTP port (/healthz /readyz /metrics).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.domain import clock
from gateway.domain.rate_card import RateCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the worker is run."""

    store_url: str
    secrets_dir: Path
    cards: Sequence[RateCard]
    host: str = "127.0.0.1"
    port: int = 8051
    now: Callable[[], datetime] = clock.utc_now


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; returns when the work at hand is done. Waits for a store that is not up yet."""
    raise NotImplementedError
