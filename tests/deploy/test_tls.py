"""A configuration with mutual TLS: its own gateway and supervisor get in, and what cannot work is told by its key."""

from pathlib import Path

import pytest
import trustme

from deploy.cli.demo import free_ports
from deploy.secrets import gateway_token
from deploy.settings import Settings, read
from deploy.supervisor import Supervisor, parts
from deploy.supervisor.supervisor import is_ready
from deploy.tls import require_usable, to_collector
from gateway.config import ConfigError
from gateway.journal.journal import Journal
from gateway.journal.shipper import Backoff, Endpoint, Shipper
from tests.deploy.test_settings import ENV, EXAMPLE
from tests.gateway import facts

TLS = "{cert: server.pem, key: server.key, client_ca: ca.pem, ca: ca.pem, client_cert: us.pem, client_key: us.key}"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The example on ports of its own, with certificates beside it."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, issued in (("server", ca.issue_cert("127.0.0.1")), ("us", ca.issue_cert("gateway@tests"))):
        issued.private_key_pem.write_to_path(tmp_path / f"{name}.key")
        for pem in issued.cert_chain_pems:
            pem.write_to_path(tmp_path / f"{name}.pem", append=True)
    free = free_ports()
    text = EXAMPLE.read_text("utf-8")
    text = text.replace('otlp_grpc: "127.0.0.1:4317"}', f'otlp_grpc: "127.0.0.1:{free.otlp_grpc}", tls: {TLS}}}')
    path = tmp_path / "tollway.yaml"
    path.write_text(text.replace("127.0.0.1:4318", f"127.0.0.1:{free.otlp_http}"), "utf-8")
    return read(path, ENV)


def test_a_configuration_whose_certificates_fit_is_usable(settings: Settings) -> None:
    require_usable(settings)


@pytest.mark.parametrize("name", ["server.pem", "server.key", "ca.pem", "us.pem", "us.key"])
def test_a_file_that_is_no_certificate_or_key_is_told_by_its_name(settings: Settings, name: str) -> None:
    (settings.path.parent / name).write_text("nothing of the kind", "utf-8")
    with pytest.raises(ConfigError) as caught:
        require_usable(settings)
    (fault,) = caught.value.faults
    assert fault.path.startswith("collector.tls")
    assert name in fault.problem


@pytest.mark.slow
def test_the_gateways_spans_and_the_supervisors_question_get_through(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in ENV.items():
        monkeypatch.setenv(key, value)
    supervisor = Supervisor(tmp_path / "logs", print)
    (part,) = [part for part in parts(settings) if part.name == "collector"]
    journal = Journal(tmp_path / "journal", "w0", keep=False)
    tls = to_collector(settings)
    shipper = Shipper(
        journal, Endpoint(settings.otlp_url, gateway_token(settings), tls=tls), backoff=Backoff(first_s=0.01, max_s=0.1)
    )
    supervisor.start([part])
    try:
        supervisor.wait_ready(["collector"])
        assert not is_ready(part.ready_url)
        intent = facts.intent()
        journal.intent(intent)
        journal.end(facts.attempt(intent))
        journal.seal()
        shipper.start()
        assert shipper.drain(10)
        assert shipper.stats(0.0).shipped_spans == 1
    finally:
        journal.close()
        supervisor.stop()
