"""The official exporters and plain clients against a collector's process, by every protocol, up to the store's rows."""

import gzip
import json
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme
from google.protobuf.json_format import MessageToDict
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from collector.inflate import zstd
from tests.collector.emitting import NOW_NS, as_otlp, body, keys
from tests.collector.forward import Forward
from tests.collector.oracle import column, landed
from tests.collector.processes import APP_TOKEN, GATEWAY_TOKEN, RunningCollector, until

pytestmark = pytest.mark.slow

Start = Callable[..., RunningCollector]
MIB = 1024 * 1024
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
OWN_COLUMNS = ("trace_id", "span_id", "attempt_id", "batch_id", "received_at", "sender")
"""What differs between two spans that say the same."""


def spans(count: int = 1) -> list[ReadableSpan]:
    """Spans of the SDK that differ in their ids alone."""
    provider = TracerProvider(resource=Resource.create({"service.name": "an-app", "host.cores": 8}))
    tracer = provider.get_tracer("tests", "1.2")
    made: list[ReadableSpan] = []
    for _ in range(count):
        span = tracer.start_span("chat gpt-4o-mini", kind=trace.SpanKind.CLIENT, start_time=NOW_NS)
        span.set_attributes(
            {
                "gen_ai.request.model": "gpt-4o-mini",
                "gen_ai.response.id": "resp-1",
                "gen_ai.usage.input_tokens": (1 << 40) + 1,
                "gen_ai.usage.output_tokens": 7,
                "gen_ai.response.finish_reasons": ["stop"],
                "some.flag": True,
                "some.number": 0.1,
                "some.bytes": b"\x00\xff",
                "tollway.tenant": "acme",
            }
        )
        span.add_event("first token", {"at": 1}, timestamp=NOW_NS + 5)
        span.end(end_time=NOW_NS + 250_000_000)
        assert isinstance(span, ReadableSpan)
        made.append(span)
    provider.shutdown()
    return made


def ids(sent: Sequence[ReadableSpan]) -> list[bytes]:
    return [s.context.trace_id.to_bytes(16, "big") + s.context.span_id.to_bytes(8, "big") for s in sent if s.context]


def bearer(token: str = APP_TOKEN) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def over_http(collector: RunningCollector, **options: Any) -> HttpExporter:
    return HttpExporter(endpoint=f"{collector.url}/v1/traces", headers=bearer(), **options)


def over_grpc(collector: RunningCollector, **options: Any) -> GrpcExporter:
    options = {"insecure": True} | options
    return GrpcExporter(endpoint=f"127.0.0.1:{collector.grpc_port}", headers=tuple(bearer().items()), **options)


def exported(exporter: SpanExporter, sent: Sequence[ReadableSpan]) -> bool:
    """Whether the exporter says that they arrived."""
    try:
        return exporter.export(sent) is SpanExportResult.SUCCESS
    finally:
        exporter.shutdown()


def post_json(collector: RunningCollector, sent: Sequence[ReadableSpan]) -> bool:
    content = json.dumps(as_otlp(MessageToDict(encode_spans(sent), use_integers_for_enums=True))).encode()
    answer = collector.post(content, token=APP_TOKEN, zipped=True, content_type="application/json")
    return (answer.status_code, answer.json()) == (200, {})


def post_zstd(collector: RunningCollector, sent: Sequence[ReadableSpan]) -> bool:
    content = zstd.compress(encode_spans(sent).SerializeToString())
    return collector.post(content, token=APP_TOKEN, content_encoding="zstd").status_code == 200


def row(store: Any, span: bytes) -> dict[str, Any]:
    """The span's row, but for what is its own."""
    found = store.writer.query(
        f"SELECT * EXCEPT ({', '.join(OWN_COLUMNS)}) FROM tollway.spans WHERE trace_id = {{id:String}}",  # noqa: S608
        parameters={"id": span[:16].hex()},
    )
    (values,) = found.result_rows
    return dict(zip(found.column_names, values, strict=True))


def test_the_same_span_lands_as_the_same_row_whichever_protocol_brings_it(store: Any, start_collector: Start) -> None:
    collector = start_collector(store, grpc=True)
    sent = spans(7)
    assert exported(over_http(collector), sent[0:1])
    assert exported(over_http(collector, compression=Compression.Gzip), sent[1:2])
    assert exported(over_http(collector, compression=Compression.Deflate), sent[2:3])
    assert post_json(collector, sent[3:4])
    assert post_zstd(collector, sent[4:5])
    assert exported(over_grpc(collector), sent[5:6])
    assert exported(over_grpc(collector, compression=grpc.Compression.Gzip), sent[6:7])
    until(collector.settled, "all has landed")
    assert landed(store, ids(sent)) == Counter(ids(sent))
    first, *others = (row(store, span) for span in ids(sent))
    assert first["tenant"] == "globex"
    assert first["claimed_tenant"] == "acme"
    assert all(other == first for other in others)
    forms = [("http", "protobuf", 4), ("http", "json", 1), ("grpc", "protobuf", 2)]
    assert [collector.metric("received_total", protocol=p, encoding=e) for p, e, _ in forms] == [n for *_, n in forms]


def test_a_span_that_comes_by_two_protocols_lands_once(store: Any, start_collector: Start) -> None:
    collector = start_collector(store, grpc=True)
    sent = spans(3)
    assert exported(over_http(collector), sent)
    assert exported(over_grpc(collector), sent)
    assert post_json(collector, sent)
    until(collector.settled, "all has landed")
    assert landed(store, ids(sent)) == Counter(ids(sent))
    account = collector.books()["app"]
    assert (account["received"], account["stored"], account["duplicate"], account["drift"]) == (9, 3, 6, 0)


def test_what_a_bound_sender_claims_is_kept_and_counted_and_a_gateways_word_is_taken(
    store: Any, start_collector: Start
) -> None:
    collector = start_collector(store)
    wrong, right, gateways = keys(3), keys(2), keys(2)
    collector.post(body(wrong, tenant="acme"), token=APP_TOKEN)
    collector.post(body(right, tenant="globex"), token=APP_TOKEN)
    collector.post(body(gateways, tenant="acme"), token=GATEWAY_TOKEN)
    until(collector.settled, "all has landed")
    assert (column(store, "tenant", wrong), column(store, "claimed_tenant", wrong)) == ({"globex"}, {"acme"})
    assert column(store, "sender", wrong) == {"app"}
    assert column(store, "tenant", gateways) == {"acme"}
    assert collector.metric("claimed_tenants_total", sender="app") == 3
    assert collector.metric("claimed_tenants_total", sender="gateway") == 0


def test_logs_and_metrics_of_the_official_exporters_are_answered_so_that_they_neither_fail_nor_retry(
    store: Any, start_collector: Start
) -> None:
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    collector = start_collector(store, grpc=True)
    http = HttpMetrics(endpoint=f"{collector.url}/v1/metrics", headers=bearer())
    by_grpc = GrpcMetrics(endpoint=f"127.0.0.1:{collector.grpc_port}", headers=tuple(bearer().items()), insecure=True)
    for exporter in (http, by_grpc):
        provider = MeterProvider(metric_readers=[PeriodicExportingMetricReader(exporter, 3_600_000)])
        provider.get_meter("tests").create_counter("things").add(1)
        assert provider.force_flush()
        provider.shutdown()
    for protocol in ("http", "grpc"):
        assert collector.metric("rejected_total", protocol=protocol, reason="metrics_not_kept") >= 1


@pytest.fixture
def forward(store: Any) -> Iterator[Forward]:
    forward = Forward(store.url)
    yield forward
    forward.close()


def test_the_official_exporters_come_again_when_asked_to_and_lose_nothing(
    store: Any, start_collector: Start, forward: Forward
) -> None:
    collector = start_collector(store, grpc=True, store_url=forward.url, spool_bytes_max=20_000)
    filling: list[bytes] = []
    while True:
        fresh = keys(50)
        if collector.post(body(fresh)).status_code == 503:
            break
        filling += fresh
    sent = spans(20)
    done: list[bool] = []
    threads = [
        threading.Thread(target=lambda: done.append(exported(over_http(collector, timeout=60), sent[:10]))),
        threading.Thread(target=lambda: done.append(exported(over_grpc(collector, timeout=60), sent[10:]))),
    ]
    for thread in threads:
        thread.start()
    for protocol in ("http", "grpc"):
        until(
            lambda protocol=protocol: collector.metric("rejected_total", protocol=protocol, reason="busy") > 0,  # type: ignore[misc]
            f"{protocol} was told to come again",
        )
    assert done == []
    forward.open.set()
    for thread in threads:
        thread.join(60)
    assert done == [True, True]
    until(collector.settled, "all has landed")
    assert landed(store, ids(sent) + filling) == Counter(ids(sent) + filling)


def test_a_flood_is_held_in_bounded_memory_and_then_everything_goes_on(
    store: Any, start_collector: Start, forward: Forward
) -> None:
    """Every way in at once, most of it hostile, with the store away: bombs, large batches, JSON, silent callers."""
    collector = start_collector(
        store,
        grpc=True,
        store_url=forward.url,
        body_bytes_max=2 * MIB,
        inflated_bytes_max=8 * MIB,
        inflight_bytes_max=40 * MIB,
        sender_inflight_bytes_max=20 * MIB,
        json_memory_max=32 * MIB,
        spool_bytes_max=12 * MIB,
        read_timeout_s=2,
    )
    assert collector.post(body(keys(1))).status_code == 200
    assert collector.post(b'{"resourceSpans": []}', content_type="application/json").status_code == 200
    before = collector.peak_memory()
    answers: Counter[object] = Counter()
    stop = threading.Event()
    bomb, bomb_zstd = gzip.compress(bytes(200 * MIB)), zstd.compress(bytes(200 * MIB))
    text = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a" * 50} for _ in range(20_000)]}]}]})
    objects = b'{"resourceSpans":[' + b"{}," * 600_000 + b"{}]}"

    def post(make: Callable[[], bytes], **headers: str) -> None:
        while not stop.is_set():
            answers[collector.post(make(), **headers).status_code] += 1

    def call(make: Callable[[], bytes]) -> None:
        with grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
            export = channel.unary_unary(EXPORT)
            while not stop.is_set():
                try:
                    export(make(), metadata=tuple(bearer(GATEWAY_TOKEN).items()), timeout=20)
                    answers["ok"] += 1
                except grpc.RpcError as error:
                    answers[error.code()] += 1

    def large() -> bytes:
        return gzip.compress(body(keys(10_000), attributes=10), 1)

    work: list[tuple[Callable[..., None], Callable[[], bytes], dict[str, str]]] = [
        (post, lambda: bomb, {"content_encoding": "gzip"}),
        (post, lambda: bomb_zstd, {"content_encoding": "zstd"}),
        (post, text.encode, {"content_type": "application/json"}),
        (post, lambda: objects, {"content_type": "application/json"}),
        (post, large, {"content_encoding": "gzip"}),
        (post, lambda: bytes(3 * MIB), {}),
        (call, lambda: bomb, {}),
        (call, large, {}),
        (call, lambda: bytes(3 * MIB), {}),
    ]
    threads = [threading.Thread(target=target, args=(make,), kwargs=headers) for target, make, headers in work * 2]
    for thread in threads:
        thread.start()
    until(lambda: collector.metric("refusing") == 1, "the spool is full", within_s=60)
    stop.wait(3)
    stop.set()
    for thread in threads:
        thread.join(60)
    # What requests hold, one JSON body and one batch being decoded, what gRPC reads at once, and what malloc keeps.
    assert collector.peak_memory() - before < 192 * MIB, answers
    assert answers[413] > 0
    assert answers[503] > 0
    assert answers[grpc.StatusCode.RESOURCE_EXHAUSTED] > 0
    assert answers[grpc.StatusCode.UNAVAILABLE] > 0
    assert 500 not in answers
    forward.open.set()
    last = keys(5)
    until(lambda: collector.post(body(last)).status_code == 200, "there is room again", within_s=60)
    until(collector.settled, "all has landed", within_s=120)
    assert landed(store, last) == Counter(last)
    assert {account["drift"] for account in collector.books().values()} == {0}


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A CA, a certificate for the server and one for a client, and those of a stranger; each as a file."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        # The HTTP exporter would know servers by these, and not by the file it is given.
        monkeypatch.delenv(name, raising=False)
    paths = {}
    for name, ca in (("ca", trustme.CA()), ("stranger-ca", trustme.CA())):
        server, client = ca.issue_cert("127.0.0.1", "localhost"), ca.issue_cert("client@tests")
        files = {name: ca.cert_pem.bytes()}
        for owner, issued in (("server", server), ("client", client)):
            files[f"{name}-{owner}-cert"] = b"".join(pem.bytes() for pem in issued.cert_chain_pems)
            files[f"{name}-{owner}-key"] = issued.private_key_pem.bytes()
        for file, content in files.items():
            paths[file] = tmp_path / f"{file}.pem"
            paths[file].write_bytes(content)
    return paths


def client_context(certificates: dict[str, Path], whose: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificates["ca"])
    if whose:
        context.load_cert_chain(certificates[f"{whose}-client-cert"], certificates[f"{whose}-client-key"])
    return context


def channel_credentials(certificates: dict[str, Path], whose: str | None) -> grpc.ChannelCredentials:
    root = certificates["ca"].read_bytes()
    if not whose:
        return grpc.ssl_channel_credentials(root)
    key, chain = (certificates[f"{whose}-client-{what}"].read_bytes() for what in ("key", "cert"))
    return grpc.ssl_channel_credentials(root, key, chain)


def test_with_mutual_tls_only_who_shows_a_certificate_of_the_ca_and_a_token_gets_in(
    store: Any, start_collector: Start, certificates: dict[str, Path]
) -> None:
    tls = {
        "cert": str(certificates["ca-server-cert"]),
        "key": str(certificates["ca-server-key"]),
        "client_ca": str(certificates["ca"]),
    }
    collector = start_collector(store, grpc=True, tls=tls, context=client_context(certificates, "ca"))
    by_http, by_grpc, json_sent = spans(2), spans(2), spans(1)
    http = over_http(
        collector,
        certificate_file=str(certificates["ca"]),
        client_certificate_file=str(certificates["ca-client-cert"]),
        client_key_file=str(certificates["ca-client-key"]),
    )
    assert exported(http, by_http)
    assert exported(over_grpc(collector, insecure=False, credentials=channel_credentials(certificates, "ca")), by_grpc)
    assert post_json(collector, json_sent)
    assert collector.post(body(keys(1)), token="wrong").status_code == 401
    for whose in (None, "stranger-ca"):
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{collector.url}/readyz", verify=client_context(certificates, whose))
        with (
            grpc.secure_channel(
                f"127.0.0.1:{collector.grpc_port}", channel_credentials(certificates, whose)
            ) as channel,
            pytest.raises(grpc.RpcError) as caught,
        ):
            channel.unary_unary(EXPORT)(b"", metadata=tuple(bearer().items()), timeout=5)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    with suppress(httpx.TransportError):
        assert httpx.get(collector.url.replace("https", "http")).status_code != 200
    sent = ids(by_http + by_grpc + json_sent)
    until(lambda: landed(store, sent) == Counter(sent), "all has landed")


def test_without_a_client_ca_the_token_is_enough(
    store: Any, start_collector: Start, certificates: dict[str, Path]
) -> None:
    tls = {"cert": str(certificates["ca-server-cert"]), "key": str(certificates["ca-server-key"])}
    collector = start_collector(store, grpc=True, tls=tls, context=client_context(certificates, None))
    assert collector.post(body(keys(1))).status_code == 200
    assert exported(over_grpc(collector, insecure=False, credentials=channel_credentials(certificates, None)), spans(1))


@pytest.mark.parametrize("what", ["cert", "client_ca"])
def test_tls_that_cannot_work_is_told_at_the_start_by_its_file(
    store: Any, start_collector: Start, certificates: dict[str, Path], tmp_path: Path, what: str
) -> None:
    tls = {"cert": str(certificates["ca-server-cert"]), "key": str(certificates["ca-server-key"])}
    tls[what] = str(tmp_path / "nothing.pem")
    with pytest.raises(AssertionError, match=r"(?s)the collector ended: .*collector\.tls: .*nothing\.pem"):
        start_collector(store, grpc=True, tls=tls)
