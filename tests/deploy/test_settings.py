"""The whole file: the example an operator starts from, and the faults between sections."""

from decimal import Decimal
from pathlib import Path

import pytest

from deploy.settings import ReconciliationSection, Settings, TollwayFile, host_port, read
from gateway.config import ConfigError, load, load_text
from gateway.domain.ids import TierName

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "config" / "tollway.example.yaml"
ENV = {"ACME_KEY": "a-key-of-enough-length", "OPENAI_API_KEY": "sk-test"}
RUNBOOK_NAMES = (
    "OPENAI_BASE_URL",
    "AGGREGATION_BASE_URL",
    "ROUTING_TIER_INTERACTIVE_MAX_INFLIGHT",
    "ROUTING_TIER_AGENT_MAX_INFLIGHT",
    "ROUTING_TIER_BATCH_MAX_INFLIGHT",
    "COMPLETION_MICRO_BATCH_MS",
    "COMPLETION_MAX_BATCH_TOKENS",
    "STREAM_CHUNK_BYTES",
    "PROMPT_CACHE_MODE",
    "KV_CACHE_REUSE_POLICY",
    "FALLBACK_MODEL_ALIAS_CHAIN",
    "FALLBACK_MAX_EXTRA_SPEND_USD",
    "REMOTE_MAC_SOAK_HOURS",
    "REMOTE_MAC_NOTARIZED_CHECKLIST_ID",
)


def faults(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_text(text, TollwayFile, env=ENV)
    return [str(fault) for fault in caught.value.faults]


def test_the_example_is_usable_as_it_stands() -> None:
    settings = read(EXAMPLE, ENV)
    assert settings.embedded
    assert settings.store_url == "http://127.0.0.1:8123"
    assert settings.data_dir == EXAMPLE.parent / "data"


def test_the_example_gives_agents_more_time_and_more_slots_than_people() -> None:
    tiers = load(EXAMPLE, TollwayFile, ENV).routing().tiers
    agent, interactive = tiers[TierName("agent")], tiers[TierName("interactive")]
    assert agent.max_inflight > interactive.max_inflight
    assert agent.total_timeout_s > interactive.total_timeout_s


@pytest.mark.parametrize("name", RUNBOOK_NAMES)
def test_the_example_reads_every_name_of_the_runbooks(name: str) -> None:
    assert f"${{{name}:-" in EXAMPLE.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("AGGREGATION_BASE_URL", "https://llm.example/", lambda r: r.public_url == "https://llm.example"),
        ("AGGREGATION_BASE_URL", "https://llm.example", lambda r: r.client_base_url == "https://llm.example/v1"),
        ("OPENAI_BASE_URL", "https://in.example/v1", lambda r: r.client_base_url == "https://in.example/v1"),
        ("ROUTING_TIER_INTERACTIVE_MAX_INFLIGHT", "7", lambda r: r.tiers["interactive"].max_inflight == 7),
        ("ROUTING_TIER_AGENT_MAX_INFLIGHT", "8", lambda r: r.tiers["agent"].max_inflight == 8),
        ("ROUTING_TIER_BATCH_MAX_INFLIGHT", "9", lambda r: r.tiers["batch"].max_inflight == 9),
        ("STREAM_CHUNK_BYTES", "4096", lambda r: r.stream_chunk_bytes == 4096),
        ("FALLBACK_MODEL_ALIAS_CHAIN", "fast", lambda r: r.fallback.chain == ("fast",)),
        ("FALLBACK_MAX_EXTRA_SPEND_USD", "0.5", lambda r: str(r.fallback.max_extra_spend_usd) == "0.5"),
    ],
)
def test_a_name_of_the_runbooks_changes_what_it_should(name: str, value: str, seen: object) -> None:
    assert callable(seen)
    assert seen(read(EXAMPLE, {**ENV, name: value}).file.routing())


def test_two_servers_cannot_share_an_address() -> None:
    text = EXAMPLE.read_text("utf-8").replace("127.0.0.1:8050", "127.0.0.1:8080")
    assert faults(text) == [
        "dashboards.listen: 127.0.0.1:8080 is also gateway.listen's; each server needs an address of its own"
    ]


def test_a_sender_lands_under_a_tenant_that_exists() -> None:
    sender = 'senders: {app: {token: "0123456789abcdef", tenant: acm}}'
    text = EXAMPLE.read_text("utf-8").replace(
        'otlp_grpc: "127.0.0.1:4317"}', f'otlp_grpc: "127.0.0.1:4317", {sender}}}'
    )
    assert faults(text) == ["collector.senders.app.tenant: no tenant 'acm'; did you mean 'acme'?"]


def collector(keys: str) -> str:
    """The example with those keys beside its collector's."""
    return EXAMPLE.read_text("utf-8").replace('otlp_grpc: "127.0.0.1:4317"}', f"{keys}}}")


def test_no_address_for_grpc_is_no_grpc() -> None:
    file = load_text(collector('otlp_grpc: ""'), TollwayFile, env=ENV)
    assert "collector.otlp_grpc" not in file.listens()
    assert load_text(EXAMPLE.read_text("utf-8"), TollwayFile, env=ENV).listens()["collector.otlp_grpc"]


def test_grpc_needs_an_address_of_its_own() -> None:
    assert faults(collector('otlp_grpc: "127.0.0.1:4318"')) == [
        "collector.otlp_grpc: 127.0.0.1:4318 is also collector.otlp_http's; each server needs an address of its own"
    ]


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ("client_cert: c.pem", "collector.tls: client_cert and client_key go together"),
        ("client_ca: ca.pem", "collector.tls.client_ca: client_ca shuts out this installation's own gateway"),
    ],
)
def test_tls_that_would_shut_out_the_gateway_is_a_fault(keys: str, fault: str) -> None:
    (told,) = faults(collector(f"tls: {{cert: a.pem, key: a.key, {keys}}}"))
    assert told.startswith(fault)


def test_with_tls_the_gateway_ships_to_https_and_the_files_are_those_beside_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "tollway.yaml"
    path.write_text(collector("tls: {cert: a.pem, key: /keys/a.key}"), "utf-8")
    settings = read(path, ENV)
    assert settings.otlp_url == "https://127.0.0.1:4318"
    assert settings.collector_tls
    assert (settings.collector_tls.cert, str(settings.collector_tls.key)) == (tmp_path / "a.pem", "/keys/a.key")


def test_a_password_has_no_place_in_the_stores_url() -> None:
    text = EXAMPLE.read_text("utf-8").replace("${TOLLWAY_CLICKHOUSE_URL:-}", "https://me:secret@host:8443")
    told = faults(text)
    assert told[0].startswith("store.url: must be an http:// or https:// address without a path; user and password")
    assert "secret" not in told[0]


@pytest.mark.parametrize(
    ("listen", "pair"), [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:443", ("::1", 443)), ("host:1", ("host", 1))]
)
def test_an_address_splits_into_host_and_port(listen: str, pair: tuple[str, int]) -> None:
    assert host_port(listen) == pair


CLUSTER = (
    'url: "http://a:8123", cluster: main, shards: {"01": ["http://a:8123", "http://b:8123"], "02": ["http://c:8123"]}'
)


def store(keys: str) -> str:
    """The example with those keys as its store's."""
    text = EXAMPLE.read_text("utf-8")
    (line,) = (line for line in text.splitlines() if line.startswith("store: "))
    return text.replace(line, f"store: {{{keys}}}")


def test_a_cluster_is_its_name_and_its_shards_replicas() -> None:
    section = load_text(store(CLUSTER), TollwayFile, env=ENV).store
    assert section.shards == {"01": ("http://a:8123", "http://b:8123"), "02": ("http://c:8123",)}
    assert section.quorum == "auto"
    several = CLUSTER.replace('url: "http://a:8123"', 'url: "http://a:8123/, http://b:8123"')
    file = load_text(store(several), TollwayFile, env=ENV)
    settings = Settings(path=Path("/x/tollway.yaml"), file=file, data_dir=Path("/x"))
    assert settings.store_url == "http://a:8123,http://b:8123"
    assert load_text(store(CLUSTER + ", quorum: 1"), TollwayFile, env=ENV).store.quorum == 1


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        (CLUSTER.replace('url: "http://a:8123", ', ""), "store.url: a cluster needs the address of one of its servers"),
        (
            'url: "http://a:8123", cluster: main',
            "store.shards: name the shards of 'main' and their replicas' addresses",
        ),
        (CLUSTER.replace("cluster: main, ", ""), "store.cluster: shards are a cluster's"),
        (CLUSTER.replace("http://c", "http://b"), "store.shards.02: http://b:8123 is there twice"),
        (CLUSTER.replace('"http://c:8123"', ""), "store.shards.02: a shard has at least one replica"),
        ('url: "http://a:8123, http://b:8123"', "store.url: several addresses are those of a cluster's servers"),
        (CLUSTER + ", ca: ca.pem", "store.ca: no address of the store is https"),
        (CLUSTER.replace("http://c", "http://u:p@c"), "store.shards.02"),
        (CLUSTER.replace("main", "'ma in'"), "store.cluster: "),
        (CLUSTER + ", quorum: 0", "store.quorum"),
    ],
)
def test_a_cluster_that_cannot_work_is_refused_with_the_place(keys: str, fault: str) -> None:
    assert any(one.startswith(fault) for one in faults(store(keys)))


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ("attempts_days: 61", "store.retention.attempts_days: 61 days are too few: the open month and the one that is"),
        ("ledger_days: 30", "store.retention.ledger_days: 30 days are too few"),
        ("rollups_days: 399", "store.retention.rollups_days: rollups go no sooner than the attempts they are made of"),
        ("attempts_days: 0, rollups_days: 900", "store.retention.rollups_days: "),
        ("invoices_days: 900", "store.retention.invoices_days"),
    ],
)
def test_a_time_that_an_open_month_could_not_live_with_is_refused(keys: str, fault: str) -> None:
    assert any(one.startswith(fault) for one in faults(store(f"retention: {{{keys}}}")))


def test_a_time_that_is_long_enough_is_taken() -> None:
    text = store("retention: {attempts_days: 62, events_days: 1, ledger_days: 0, rollups_days: 62}")
    assert load_text(text, TollwayFile, env=ENV).store.retention.attempts_days == 62


def test_what_is_tolerated_and_the_rates_of_the_books_are_the_operators():
    given = {"tolerance_usd": "25", "tolerance_percent": "0.5", "booked_usd": {"EUR": "1.08"}}
    policy = ReconciliationSection.model_validate(given).policy()
    assert (policy.tolerance(5, Decimal(9000)), policy.tolerance(5, Decimal(1000))) == (25, 5)
    assert policy.booked_usd == {"EUR": Decimal("1.08")}
    assert ReconciliationSection().policy().tolerance(5, Decimal(9000)) == 1
    with pytest.raises(ValueError, match="ISO 4217"):
        ReconciliationSection.model_validate({"booked_usd": {"euro": "1.08"}})
