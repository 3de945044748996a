"""The journal and its shipper at one moment, for /metrics."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JournalStats:
    """The journal at one moment."""

    open_intents: int
    open_operations: int
    bytes: int
    segments_pending: int
    refused_intents: int
    uncounted_operations: int
    """Ended without an intent while there was no room: counted here only."""
    lost_recovered: int
    parked_spans: int
    parked_bytes: int
    damaged_segments: int
    trouble: str
    """Why intents are refused by the disk; "" = they are not."""


@dataclass(frozen=True, slots=True)
class ShipperStats:
    """The shipper at one moment."""

    shipped_spans: int
    shipped_bytes: int
    """Before compression."""
    shipped_segments: int
    rejected_spans: int
    """Taken by the collector but not kept there, by its own word; parked here with all of their body."""
    retries: int
    last_problem: str
    """Why the last delivery was not acknowledged; "" = it was."""
    seconds_since_ack: float | None
    """None = nothing was acknowledged yet."""
