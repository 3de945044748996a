"""What a collector is told at its start: who may send, where it listens and keeps, and every bound it works within.

Frozen values, checked when they are made. Reading files and environments is for whoever composes the process.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class CannotStart(RuntimeError):
    """The collector refuses to start; the message is one line that names what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """One that may send spans, known by its bearer token.

    A sender bound to a tenant lands under it whatever its spans claim; only a gateway may name tenants itself.
    """

    name: str
    token: str = field(repr=False)
    tenant: str | None = None
    may_name_tenants: bool = False

    def __post_init__(self) -> None:
        if not self.name or not self.token:
            raise CannotStart(f"sender {self.name!r}: a sender needs a name and a token")
        if self.may_name_tenants == bool(self.tenant):
            raise CannotStart(f"sender {self.name!r}: either bind it to one tenant or let it name tenants, not both")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Every bound. Sizes are bytes, times are seconds."""

    body_bytes_max: int = 64 * MIB
    """Of a request as it came; more is answered 413."""
    inflated_bytes_max: int = 64 * MIB
    """Of a request once inflated; more is answered 413."""
    read_timeout_s: float = 30.0
    """For a body to arrive whole; a slower one is answered 503."""
    inflight_bytes_max: int = 256 * MIB
    """Of all requests not yet answered, as they came and inflated together; more is answered 503."""
    sender_inflight_bytes_max: int = 192 * MIB
    """Of one sender's requests among them; more is answered 429, while others are taken."""
    json_memory_max: int = 256 * MIB
    """What decoding one JSON body may take; one that could take more is answered 413. Large ones take turns."""
    grpc_reads_max: int = 4
    """gRPC requests read at once: a message's size is not known before it is whole, so each may hold body_bytes_max."""
    grpc_waiting_max: int = 256
    """gRPC requests that may wait for their turn to be read; more are answered UNAVAILABLE."""
    spool_bytes_max: int = 4 * GIB
    """Kept but not yet landed: the high-water mark; above it everything is answered 503."""
    free_bytes_min: int = 256 * MIB
    """Left free on the disk, so that the ledger can always be written; below it everything is answered 503."""
    retry_after_s: int = 1
    """What a 503 asks the sender to wait."""
    commit_window_s: float = 0.005
    """One fdatasync covers what arrives within this time,"""
    commit_bytes: int = MIB
    """or this much, whichever comes first."""
    segment_rows_max: int = 20_000
    """A segment is sealed at this many spans,"""
    segment_bytes_max: int = 16 * MIB
    """or at this size,"""
    segment_age_s: float = 0.5
    """or at this age when nothing sealed waits before it: while the store is slow, segments grow instead."""
    horizon_s: float = 24 * 3600.0
    """How long a span or a body is remembered, to know it again."""
    horizon_keys_max: int = 2_000_000
    """Spans remembered at most, about 100 bytes of memory each."""
    horizon_bodies_max: int = 100_000
    """Bodies remembered at most."""
    keep_s: float = 24 * 3600.0
    """How long a landed segment is kept, so that it could be landed again; 0 = not at all."""
    keep_bytes_max: int = 2 * GIB
    """Kept of them at most; the oldest go first, and before the disk comes down to twice `free_bytes_min`."""
    retry_s_max: float = 15.0
    """The longest pause between two tries of an insert."""
    tell_s: float = 5.0
    """Within this time the store is told what the ledger has, a row each."""
    set_aside_max: int = 64
    """Batches that the store does not take for reasons of its own and that wait while others are tried."""

    def __post_init__(self) -> None:
        largest = self.body_bytes_max + 2 * self.inflated_bytes_max
        for name in ("inflight_bytes_max", "sender_inflight_bytes_max"):
            if getattr(self, name) < largest:
                raise CannotStart(
                    f"{name} is below body_bytes_max + 2 * inflated_bytes_max: a request that comes compressed and is "
                    "turned from JSON into protobuf could not pass"
                )
        if min(self.segment_rows_max, self.segment_bytes_max, self.horizon_keys_max, self.set_aside_max) < 1:
            raise CannotStart("the bounds of segments, horizon and set-aside batches must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What both listeners prove themselves with, and whom they let in."""

    cert: Path
    """The chain, PEM."""
    key: Path
    client_ca: Path | None = None
    """Senders need a certificate that this CA signed; None = they need none."""

    def context(self) -> ssl.SSLContext:
        """For the HTTP listener. Raises CannotStart, naming the file, for what cannot be read or does not fit."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            pair = f"{self.cert} and {self.key}"
            raise CannotStart(f"collector.tls: {pair} are no certificate and its key: {error}") from None
        if self.client_ca is None:
            return context
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(self.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise CannotStart(f"collector.tls: {self.client_ca} is no CA's certificate: {error}") from None
        return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The servers that batches are landed in, where there are several."""

    name: str
    """As the servers' own remote_servers name it."""
    shards: Mapping[str, tuple[str, ...]]
    """The addresses of each shard's replicas, by the name that the servers' macro gives the shard."""
    quorum: str = "auto"
    """How many replicas must have a batch before it counts as taken; auto = most of them, "" = one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorSettings:
    """All of one collector. `folder` is its own: no second collector may use it."""

    folder: Path
    senders: tuple[Sender, ...]
    store_url: str
    secrets_dir: Path
    """Where the embedded store leaves `store-writer`, its writer's password."""
    store_user: str = "tollway"
    store_password: str = field(default="", repr=False)
    """For a server of one's own; "" = the one in `secrets_dir`."""
    store_ca: Path | None = None
    """What the certificate of an https store is signed by; None = one of the system's CAs."""
    cluster: Cluster | None = None
    """None = the one server at `store_url`."""
    host: str = "127.0.0.1"
    port: int = 4318
    grpc_port: int | None = None
    """None = no gRPC."""
    grpc_host: str = "127.0.0.1"
    tls: Tls | None = None
    """For both listeners; None = neither is encrypted."""
    limits: Limits = field(default_factory=Limits)

    def connect(self, url: str) -> "Client":
        """A client of that server of the store's. Raises the driver's error, and OSError.

        The password is asked for at each new connection, so the embedded store may be started later.
        """
        from sql import clients

        password = self.store_password or (self.secrets_dir / "store-writer").read_text("utf-8").strip()
        return clients.writer(url, password, user=self.store_user, ca=self.store_ca)

    def __post_init__(self) -> None:
        names = [sender.name for sender in self.senders]
        tokens = [sender.token for sender in self.senders]
        if not names:
            raise CannotStart("no senders: nobody could send anything")
        if len(set(names)) < len(names) or len(set(tokens)) < len(tokens):
            raise CannotStart("two senders share a name or a token")
