"""What a run of the demo may be told, and the addresses it takes."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The loopback ports. The defaults are those of the operators' files, and two for the vendors."""

    gateway: int = 8080
    otlp_http: int = 4318
    otlp_grpc: int = 4317
    store: int = 8123
    dashboards: int = 8050
    worker: int = 8051
    vendors: tuple[int, int] = (8091, 8092)
    """openai-us, azure-eu."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """One run. `seconds` is how long the arrivals of the `requests` take; 0 = 50 requests a second."""

    data: Path
    requests: int = 600
    seconds: float = 0.0
    kill_gateway: bool = False
    kill_collector: bool = False
    surcharge: bool = False
    seed: int = 0
    ports: Ports = Ports()

    @property
    def traffic_s(self) -> float:
        """How long the arrivals take."""
        return self.seconds or self.requests / 50
