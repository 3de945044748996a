"""The whole configuration file: the gateway's sections and those of the other parts, in one frozen value."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr

from gateway.config import ConfigError, Fault, RoutingConfig, RoutingFile, load
from gateway.config.faults import did_you_mean
from gateway.config.section import Listen, Name, Section, named, shaped
from gateway.domain.card_file import CardFile, CardFileInvalid, newest
from gateway.domain.rate_card import RateCardInvalid
from sql.addresses import addresses

if TYPE_CHECKING:
    from analytics.reconciliation.policy import Policy

SENDER_GATEWAY = "gateway"
"""The sender whose token `up` generates; it alone may name tenants."""


class SenderEntry(Section):
    """Another emitter of spans: its token, and the tenant under which all it sends lands."""

    name: Name
    token: SecretStr = Field(min_length=16)
    tenant: Name


class CollectorTls(Section):
    """TLS on both of the collector's listeners: what it proves itself with, and whom it lets in. PEM files."""

    cert: Path
    key: Path
    client_ca: Path | None = None
    """Senders need a certificate that this CA signed; none = their token is enough."""
    ca: Path | None = None
    """What the gateway of this installation knows the collector by; none = the system's CAs."""
    client_cert: Path | None = None
    """What it presents where client_ca asks for it,"""
    client_key: Path | None = None
    """and its key."""

    def under(self, folder: Path) -> "CollectorTls":
        """The same with every relative path taken from that folder."""
        return self.model_copy(update={name: folder / path for name, path in self if path is not None})


class CollectorSection(Section):
    """Where OTLP is received, and what bounds it."""

    otlp_http: Listen = "127.0.0.1:4318"
    otlp_grpc: Listen | Literal[""] = "127.0.0.1:4317"
    """"" = no gRPC."""
    tls: CollectorTls | None = None
    senders: Annotated[dict[str, SenderEntry], BeforeValidator(named)] = Field(default_factory=dict)
    max_body_bytes: int = Field(default=67_108_864, ge=1024)
    spool_max_bytes: int = Field(default=4_294_967_296, ge=1_048_576)
    spool_keep_hours: float = Field(default=24, ge=0, le=8760)
    """How long what landed is kept for `tollway replay-spool`; 0 = not at all."""
    spool_keep_max_bytes: int = Field(default=2_147_483_648, ge=0)


class DashboardsSection(Section):
    """Where the dashboards listen."""

    listen: Listen = "127.0.0.1:8050"


class WorkerSection(Section):
    """Where the worker's /healthz and /metrics listen."""

    listen: Listen = "127.0.0.1:8051"


ShardName = Annotated[str, shaped(r"[\w.-]+", "a shard's name, of letters and digits")]
SERVER = "an http:// or https:// address without a path; user and password are keys of their own"


Replica = Annotated[str, shaped(r"https?://[^\s/@]+/?", SERVER)]


ATTEMPTS_DAYS_MIN = 62
"""The open month and the one before it, which is being closed, are reconciled from their attempts."""
Days = Annotated[int, Field(ge=0, le=36_500)]
"""0 = always."""


class RetentionSection(Section):
    """For how many days rows are kept; 0 = always. Rate cards and invoices are kept always."""

    attempts_days: Days = 400
    events_days: Days = 400
    """Operations, breakers' moves, what applications report."""
    ledger_days: Days = 400
    """What tells of landing: the ingest ledger, audits, replays."""
    rollups_days: Days = 0
    """Days, totals and months, from the end of their month; hours are kept for 70 days."""


class RatesSection(Section):
    """Where approved rate cards are kept."""

    folder: Path | None = None
    """None = `rates` in data_dir."""


BookedRate = Annotated[Decimal, Field(gt=0, le=10**9, decimal_places=12)]
Currency = Annotated[str, shaped(r"[A-Z]{3}", "an ISO 4217 code such as EUR")]


class ReconciliationSection(Section):
    """What may stay unexplained of an account's month, and at which rates currencies are booked."""

    tolerance_usd: Annotated[Decimal, Field(ge=0)] | None = None
    """None, and no percentage: FOCUS 1.4's formula decides."""
    tolerance_percent: Annotated[Decimal, Field(ge=0, le=100)] | None = None
    """Of what was invoiced; the smaller of both counts."""
    booked_usd: dict[Currency, BookedRate] = Field(default_factory=dict)
    """USD for one unit of each currency that invoices are to be paid in."""

    def policy(self) -> "Policy":
        """As the reconciliation takes it."""
        from analytics.reconciliation.policy import Policy

        return Policy(
            tolerance_usd=self.tolerance_usd, tolerance_percent=self.tolerance_percent, booked_usd=self.booked_usd
        )


class StoreSection(Section):
    """The ClickHouse: an address, or none for the embedded one, which listens at `listen`; or a cluster."""

    url: Annotated[str, shaped(r"(https?://[^\s/@,]+/?(\s*,\s*https?://[^\s/@,]+/?)*)?", SERVER)] = ""
    """Of a cluster one or several of its servers, with commas between them: the first that answers is read."""
    ca: Path | None = None
    """What the certificates of https servers are signed by; none = one of the system's CAs."""
    cluster: Annotated[
        str, shaped(r"[\w.-]*", "a name that the servers' remote_servers give, of letters and digits")
    ] = ""
    """"" = there is none."""
    shards: dict[ShardName, tuple[Replica, ...]] = Field(default_factory=dict)
    """The addresses of each shard's replicas, by the name that the servers' macro `shard` gives it."""
    quorum: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """How many replicas must have a batch before it counts as landed; auto = most of the shard's."""
    retention: RetentionSection = RetentionSection()
    listen: Listen = "127.0.0.1:8123"
    user: str = "tollway"
    password: SecretStr = SecretStr("")
    """For a server of your own; the embedded one generates its own."""
    reader_user: str = "reader"
    reader_password: SecretStr = SecretStr("")


class TollwayFile(RoutingFile):
    """Every section of the file."""

    data_dir: Path = Path("./data")
    collector: CollectorSection = CollectorSection()
    dashboards: DashboardsSection = DashboardsSection()
    worker: WorkerSection = WorkerSection()
    rates: RatesSection = RatesSection()
    reconciliation: ReconciliationSection = ReconciliationSection()
    store: StoreSection = StoreSection()

    def cross_check(self) -> list[Fault]:
        """The routing sections' faults, and those between the other sections."""
        faults = super().cross_check()
        for name, sender in self.collector.senders.items():
            if name == SENDER_GATEWAY:
                faults.append(Fault(f"collector.senders.{name}", "this name is the gateway's own; choose another"))
            if sender.tenant not in self.tenants:
                hint = did_you_mean(sender.tenant, self.tenants)
                faults.append(Fault(f"collector.senders.{name}.tenant", f"no tenant {sender.tenant!r}{hint}"))
        return [
            *(*faults, *self._tls_faults(), *self._store_faults()),
            *(*self._retention_faults(), *self._listen_faults()),
        ]

    def _store_faults(self) -> list[Fault]:
        store = self.store
        faults = []
        if store.cluster and not store.url:
            faults.append(Fault("store.url", "a cluster needs the address of one of its servers, where all is read"))
        if store.cluster and not store.shards:
            faults.append(Fault("store.shards", f"name the shards of {store.cluster!r} and their replicas' addresses"))
        if store.shards and not store.cluster:
            faults.append(Fault("store.cluster", "shards are a cluster's: name it as the servers' remote_servers do"))
        if "," in store.url and not store.cluster:
            faults.append(
                Fault("store.url", "several addresses are those of a cluster's servers: name it in store.cluster")
            )
        taken: dict[str, str] = {}
        for name, replicas in store.shards.items():
            if not replicas:
                faults.append(Fault(f"store.shards.{name}", "a shard has at least one replica"))
            for url in replicas:
                other = taken.setdefault(url.rstrip("/"), name)
                if other != name or [one.rstrip("/") for one in replicas].count(url.rstrip("/")) > 1:
                    faults.append(Fault(f"store.shards.{name}", f"{url} is there twice; each replica is one shard's"))
        if store.ca and not any(url.startswith("https://") for url in (*addresses(store.url), *taken)):
            faults.append(Fault("store.ca", "no address of the store is https, so nothing would be checked by it"))
        return faults

    def _retention_faults(self) -> list[Fault]:
        kept = self.store.retention
        place, faults = "store.retention", []
        months = f"the open month and the one that is being closed need {ATTEMPTS_DAYS_MIN}; 0 keeps them always"
        if 0 < kept.attempts_days < ATTEMPTS_DAYS_MIN:
            faults.append(Fault(f"{place}.attempts_days", f"{kept.attempts_days} days are too few: {months}"))
        if 0 < kept.ledger_days < ATTEMPTS_DAYS_MIN:
            faults.append(Fault(f"{place}.ledger_days", f"{kept.ledger_days} days are too few: {months}"))
        if kept.rollups_days and not 0 < kept.attempts_days <= kept.rollups_days:
            why = "rollups go no sooner than the attempts they are made of: make it 0, or attempts_days at least"
            faults.append(Fault(f"{place}.rollups_days", why))
        return faults

    def _tls_faults(self) -> list[Fault]:
        tls = self.collector.tls
        if tls is None:
            return []
        if (tls.client_cert is None) != (tls.client_key is None):
            return [Fault("collector.tls", "client_cert and client_key go together; one of them is missing")]
        if tls.client_ca and not tls.client_cert:
            why = "client_ca shuts out this installation's own gateway: give it client_cert and client_key"
            return [Fault("collector.tls.client_ca", why)]
        return []

    def _listen_faults(self) -> list[Fault]:
        taken: dict[str, str] = {}
        faults = []
        for path, listen in self.listens().items():
            other = taken.setdefault(listen, path)
            if other != path:
                faults.append(Fault(path, f"{listen} is also {other}'s; each server needs an address of its own"))
            if not 0 < int(listen.rpartition(":")[2]) < 65_536:
                faults.append(Fault(path, f"{listen} has no port between 1 and 65535"))
        return faults

    def listens(self) -> dict[str, str]:
        """Each address that this file's servers take, by its place in the file."""
        places = {
            "gateway.listen": self.gateway.listen,
            "collector.otlp_http": self.collector.otlp_http,
            "dashboards.listen": self.dashboards.listen,
            "worker.listen": self.worker.listen,
        }
        if self.collector.otlp_grpc:
            places["collector.otlp_grpc"] = self.collector.otlp_grpc
        if not self.store.url:
            places["store.listen"] = self.store.listen
        return places


@dataclass(frozen=True, slots=True)
class Settings:
    """A file that was checked, with its paths resolved: relative ones are relative to the file's own folder."""

    path: Path
    file: TollwayFile
    data_dir: Path
    approved: CardFile | None = None
    """The newest version of the approved rate cards."""

    @property
    def rates_dir(self) -> Path:
        """Where approved rate cards are."""
        return _rates_dir(self.path, self.file, self.data_dir)

    def routing(self) -> RoutingConfig:
        """What the gateway runs on, with the approved rate cards."""
        return self.file.routing(self.approved)

    @property
    def embedded(self) -> bool:
        """Whether the store is the embedded one."""
        return not self.file.store.url

    @property
    def store_url(self) -> str:
        """Where ClickHouse answers; several addresses have commas between them."""
        return ",".join(addresses(self.file.store.url)) or f"http://{self.file.store.listen}"

    @property
    def store_ca(self) -> Path | None:
        """The store's CA, its file found; None = the system's."""
        ca = self.file.store.ca
        return self.path.parent / ca if ca else None

    @property
    def otlp_url(self) -> str:
        """Where the gateway sends its spans."""
        return f"{'https' if self.file.collector.tls else 'http'}://{self.file.collector.otlp_http}"

    @property
    def collector_tls(self) -> CollectorTls | None:
        """The collector's TLS, its files found; None = there is none."""
        tls = self.file.collector.tls
        return tls.under(self.path.parent) if tls else None

    @property
    def gateway_url(self) -> str:
        """Where the gateway answers on this machine."""
        return f"http://{self.file.gateway.listen}"

    @property
    def dashboards_url(self) -> str:
        """Where the dashboards answer on this machine."""
        return f"http://{self.file.dashboards.listen}"

    @property
    def worker_url(self) -> str:
        """Where the worker answers on this machine."""
        return f"http://{self.file.worker.listen}"


def read(path: Path, env: Mapping[str, str] | None = None) -> Settings:
    """The configuration at `path`. Raises ConfigError with every fault."""
    file = load(path, TollwayFile, env)
    # Not resolved: a file that is a link, as a ConfigMap's is, must be read again where the link leads then.
    place = path.absolute()
    data_dir = (place.parent / file.data_dir).resolve()
    return Settings(path=place, file=file, data_dir=data_dir, approved=_approved(place, file, data_dir))


def _rates_dir(path: Path, file: TollwayFile, data_dir: Path) -> Path:
    folder = file.rates.folder
    return path.parent / folder if folder else data_dir / "rates"


def _approved(path: Path, file: TollwayFile, data_dir: Path) -> CardFile | None:
    """Raises ConfigError where the newest version cannot be read, or does not go with the file's own cards."""
    try:
        found = newest(_rates_dir(path, file, data_dir))
        file.book(found)
    except (CardFileInvalid, OSError) as fault:
        raise ConfigError(str(path), [Fault("rates.folder", str(fault))]) from None
    except RateCardInvalid as fault:
        raise ConfigError(str(path), [Fault("rate_cards", f"with the approved cards: {fault}")]) from None
    return found


def host_port(listen: str) -> tuple[str, int]:
    """`127.0.0.1:8080` as ("127.0.0.1", 8080); brackets of an IPv6 host are taken off."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)
