"""Which processes a configuration asks for, and how each is known to be ready. It starts nothing."""

import ssl
import sys
from dataclasses import dataclass

from deploy.settings import Settings
from deploy.tls import to_collector

STOP_WITHIN_S = 15.0
SETTLE_S = 7.0
"""Beyond its streams, what a gateway needs to end what is left and to ship its last spans."""


@dataclass(frozen=True, slots=True)
class Part:
    """One process: its name, its command, and the address that answers 200 once it serves."""

    name: str
    command: tuple[str, ...]
    ready_url: str
    listen: str
    stop_within_s: float = STOP_WITHIN_S
    """How long it may take to stop once it was told to."""
    also_listens: tuple[str, ...] = ()
    """Addresses it takes beside `listen`."""
    tls: ssl.SSLContext | None = None
    """For `ready_url`, where it is https and the system's CAs do not know it."""


def parts(settings: Settings) -> list[Part]:
    """Every process of this configuration, in the order in which data flows back: the store first.

    Raises OperatorError where the collector listens with TLS and the files to reach it by cannot be read.
    """
    places = [
        ("store", settings.store_url, settings.file.store.listen),
        ("collector", settings.otlp_url, settings.file.collector.otlp_http),
        ("gateway", settings.gateway_url, settings.file.gateway.listen),
        ("dashboards", settings.dashboards_url, settings.file.dashboards.listen),
        ("worker", settings.worker_url, settings.file.worker.listen),
    ]
    grpc = settings.file.collector.otlp_grpc
    if not settings.embedded:
        places = places[1:]
    return [
        Part(
            name,
            _command(settings, name),
            f"{url}/readyz",
            listen,
            _stop_within_s(settings, name),
            also_listens=tuple(filter(None, [grpc])) if name == "collector" else (),
            tls=to_collector(settings) if name == "collector" else None,
        )
        for name, url, listen in places
    ]


def _stop_within_s(settings: Settings, name: str) -> float:
    """The gateway's streams may go on for gateway.drain_s, and then its last spans are shipped."""
    return max(STOP_WITHIN_S, settings.file.gateway.drain_s + SETTLE_S) if name == "gateway" else STOP_WITHIN_S


def _command(settings: Settings, name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "deploy.cli", "serve", name, "--config", str(settings.path))


def restart_delay_s(failures: int) -> float:
    """Seconds to wait before the next start after that many failures in a row: 0.5, 1, 2 ... 30."""
    return float(min(30.0, 0.5 * 2 ** max(0, failures - 1)))
