"""How a part is put together from the configuration: each function runs one part in this process until it is stopped.

Imports are inside, so that a process loads its own part's libraries and no other's.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import SecretStr

from deploy.secrets import gateway_token, hash_key
from deploy.settings import SENDER_GATEWAY, Settings, host_port, read
from deploy.tls import to_collector
from gateway.domain.card_file import newest_name

if TYPE_CHECKING:
    from collector.settings import Cluster
    from gateway.config import RoutingConfig


def store(settings: Settings) -> None:
    """The embedded ClickHouse."""
    from deploy.errors import OperatorError
    from sql import embedded

    if not settings.embedded:
        raise OperatorError(f"store.url is {settings.store_url}: that server is the store, there is none to run here")
    host, port = host_port(settings.file.store.listen)
    embedded.serve(settings.data_dir, host, port)


def collector(settings: Settings) -> None:
    """OTLP in, the store out."""
    from collector.server import run
    from collector.settings import CollectorSettings, Limits, Sender, Tls
    from deploy.schema import refuse_unfit

    refuse_unfit(settings)
    store = settings.file.store
    section = settings.file.collector
    host, port = host_port(section.otlp_http)
    grpc_host, grpc_port = host_port(section.otlp_grpc) if section.otlp_grpc else (host, None)
    tls = settings.collector_tls
    senders = [Sender(name=SENDER_GATEWAY, token=gateway_token(settings), may_name_tenants=True)]
    senders += [
        Sender(name=name, token=entry.token.get_secret_value(), tenant=entry.tenant)
        for name, entry in section.senders.items()
    ]
    limits = Limits(
        body_bytes_max=section.max_body_bytes,
        inflated_bytes_max=section.max_body_bytes,
        inflight_bytes_max=4 * section.max_body_bytes,
        sender_inflight_bytes_max=3 * section.max_body_bytes,
        spool_bytes_max=section.spool_max_bytes,
        keep_s=section.spool_keep_hours * 3600,
        keep_bytes_max=section.spool_keep_max_bytes,
    )
    run(
        CollectorSettings(
            folder=settings.data_dir / "collector",
            senders=tuple(senders),
            store_url=settings.store_url,
            secrets_dir=settings.data_dir / "secrets",
            store_user=store.user,
            store_password=store.password.get_secret_value(),
            store_ca=settings.store_ca,
            cluster=cluster(settings),
            host=host,
            port=port,
            grpc_host=grpc_host,
            grpc_port=grpc_port,
            tls=Tls(cert=tls.cert, key=tls.key, client_ca=tls.client_ca) if tls else None,
            limits=limits,
        )
    )


def cluster(settings: Settings) -> "Cluster | None":
    """Where batches are landed, if there is more than one server."""
    from collector.settings import Cluster

    store = settings.file.store
    if not store.cluster:
        return None
    return Cluster(name=store.cluster, shards=store.shards, quorum="" if store.quorum == 1 else str(store.quorum))


def routing(settings: Settings) -> "RoutingConfig":
    """What the gateway runs on: the file's routing sections, and the hash key made here where the file gives none."""
    return replace(settings.routing(), hash_key=SecretStr(hash_key(settings)))


def gateway(settings: Settings) -> None:
    """The OpenAI-compatible gateway; it reads the file again when it is told to."""
    from deploy.feedback import look_up
    from gateway.flow.reload import Reread
    from gateway.server import run

    def read_again() -> Reread:
        again = read(settings.path)
        return Reread(routing(replace(again, data_dir=settings.data_dir)), gateway_restarts(settings, again))

    run(
        routing(settings),
        data_dir=settings.data_dir,
        otlp_url=settings.otlp_url,
        otlp_token=gateway_token(settings),
        otlp_tls=to_collector(settings),
        read_again=read_again,
        look_up=look_up(settings),
        watch=lambda: newest_name(settings.rates_dir),
    )


def gateway_restarts(started: Settings, again: Settings) -> tuple[str, ...]:
    """Places outside the routing sections that a running gateway stands on, and that have changed since its start."""
    stands_on = {
        "data_dir": (started.data_dir, again.data_dir),
        "collector.otlp_http": (started.otlp_url, again.otlp_url),
        "collector.tls": (started.collector_tls, again.collector_tls),
    }
    return tuple(place for place, (before, now) in stands_on.items() if before != now)


def dashboards(settings: Settings) -> None:
    """The Dash app, and the finance API beside it."""
    from dashboards.server import run
    from deploy.close import finance_api
    from deploy.store_access import reader_password

    host, port = host_port(settings.file.dashboards.listen)
    run(
        host=host,
        port=port,
        store_url=settings.store_url,
        store_user=settings.file.store.reader_user,
        store_password=reader_password(settings),
        store_ca=settings.store_ca,
        api=finance_api(settings),
        policy=settings.file.reconciliation.policy(),
    )


def worker(settings: Settings) -> None:
    """The scheduled work."""
    from analytics.worker import Settings as WorkerSettings
    from analytics.worker import run

    host, port = host_port(settings.file.worker.listen)
    run(
        WorkerSettings(
            store_url=settings.store_url,
            secrets_dir=settings.data_dir / "secrets",
            cards=tuple(entry.card() for entry in settings.file.rate_cards),
            rates_dir=settings.rates_dir,
            policy=settings.file.reconciliation.policy(),
            store_user=settings.file.store.user,
            store_password=settings.file.store.password.get_secret_value(),
            store_ca=settings.store_ca,
            host=host,
            port=port,
        )
    )
