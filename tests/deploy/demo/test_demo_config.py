"""What the demo writes: a configuration that Tollway takes, vendors whose prices are the cards', secrets in files."""

import stat
from decimal import Decimal
from pathlib import Path

import pytest

from deploy import settings
from deploy.demo import config
from deploy.demo.options import DemoOptions, Ports
from deploy.demo.traffic.plan import ALIASES, TENANTS
from deploy.demo.vendor import settings as vendor_settings
from gateway.domain.ids import Alias
from gateway.domain.usage import TokenClass

OURS = {
    "input": TokenClass.INPUT_UNCACHED,
    "cached input": TokenClass.CACHE_READ,
    "output": TokenClass.OUTPUT,
}


def test_tollway_takes_the_file_and_it_routes_what_the_traffic_asks_for(tmp_path: Path) -> None:
    files = config.write(DemoOptions(data=tmp_path, ports=Ports(gateway=18080, vendors=(18091, 18092))))
    read = settings.read(files.config)
    routing = read.file.routing()
    assert read.data_dir == tmp_path.resolve()
    assert set(routing.tenants) == set(TENANTS)
    assert set(routing.aliases) == set(ALIASES)
    assert len(routing.tiers) == 3
    assert routing.listen == "127.0.0.1:18080"
    assert {u.base_url for u in routing.upstreams.values()} == {
        "http://127.0.0.1:18091/v1",
        "http://127.0.0.1:18092/v1",
    }
    assert all(upstream.running_usage for upstream in routing.upstreams.values())
    assert routing.aliases[Alias("fast")].targets[0].upstream == "openai-us"
    assert routing.aliases[Alias("agent-coder")].targets[0].upstream == "azure-eu"


def test_the_cards_are_the_vendors_prices_written_down_a_second_time(tmp_path: Path) -> None:
    files = config.write(DemoOptions(data=tmp_path))
    cards = settings.read(files.config).file.routing().rate_cards.cards
    ours = {
        (card.provider, card.model, name): card.per_million[token_class]
        for card in cards
        for name, token_class in OURS.items()
    }
    theirs = {
        (vendor.provider, model, name): price
        for vendor in files.vendors
        for model, sold in vendor_settings.read(vendor.config).models.items()
        for name, price in sold.per_million.items()
    }
    assert ours == theirs


def test_the_vendors_know_tollways_keys_and_the_faults_are_on(tmp_path: Path) -> None:
    files = config.write(DemoOptions(data=tmp_path))
    upstreams = settings.read(files.config).file.upstreams
    for vendor in files.vendors:
        sells = vendor_settings.read(vendor.config)
        upstream = upstreams[vendor.name]
        assert upstream.api_key.get_secret_value() in sells.keys
        assert (upstream.provider, upstream.account) == (vendor.provider, vendor.account)
        assert sells.faults.break_after_second_chunk > 0
        assert sells.faults.break_before_first_token > 0
        assert sells.faults.rate_limited > 0
        assert sells.faults.slow_first_token_s > upstreams_patience(files)
        assert sells.billing.surcharge_share == 0


def upstreams_patience(files: config.DemoFiles) -> float:
    return settings.read(files.config).file.tiers["interactive"].first_token_timeout_s


def test_the_surcharge_is_in_the_vendors_files_and_nowhere_in_tollways(tmp_path: Path) -> None:
    plain = config.write(DemoOptions(data=tmp_path)).config.read_text()
    files = config.write(DemoOptions(data=tmp_path, surcharge=True))
    assert files.config.read_text() == plain
    assert all(vendor_settings.read(v.config).billing.surcharge_share > Decimal("0.01") for v in files.vendors)


def test_the_same_folder_keeps_its_keys_and_another_has_others(tmp_path: Path) -> None:
    first = config.write(DemoOptions(data=tmp_path / "a"))
    assert config.write(DemoOptions(data=tmp_path / "a")) == first
    other = config.write(DemoOptions(data=tmp_path / "b"))
    assert not set(first.tenant_keys.values()) & set(other.tenant_keys.values())


def test_a_secret_is_in_a_file_of_its_owners_alone_and_not_in_tollways_configuration(tmp_path: Path) -> None:
    files = config.write(DemoOptions(data=tmp_path))
    secrets = sorted((tmp_path / "secrets").iterdir())
    assert len(secrets) == len(TENANTS) + 2 * len(files.vendors)
    text = files.config.read_text()
    for path in (*secrets, files.config, *(vendor.config for vendor in files.vendors)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not [path.name for path in secrets if path.read_text() in text]
    assert (tmp_path / "secrets" / "tenant-acme").read_text() == files.tenant_keys["acme"]


@pytest.mark.parametrize(("requests", "seconds", "expected"), [(600, 0, 12), (300, 0, 6), (600, 30, 30)])
def test_traffic_takes_its_seconds_or_fifty_requests_a_second(requests: int, seconds: float, expected: float) -> None:
    assert DemoOptions(data=Path("unused"), requests=requests, seconds=seconds).traffic_s == expected
