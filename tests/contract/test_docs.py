"""The README and the pages tell what the code does: error codes, subcommands, classes of variance, keys, tests."""

import re
from pathlib import Path

import grpc
import pytest
import yaml

from analytics import pack_check
from analytics.api import errors as api_errors
from analytics.periods.machine import Kind as BlockerKind
from analytics.periods.machine import Step
from analytics.reconciliation import VarianceClass
from collector import refusals
from collector.refusals import Refused
from deploy.settings import CollectorSection
from gateway import errors
from gateway.api import openapi
from gateway.config import RoutingFile, load_text
from gateway.flow.answer import FORWARDED, FORWARDED_PREFIX
from gateway.identity import BODY_IDS
from gateway.upstream.endpoint import PRIVATE, PRIVATE_PREFIXES
from gateway.wire.kinds import Kind

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")
TIERS = (Path(__file__).resolve().parents[2] / "deploy" / "docs" / "tiers.md").read_text("utf-8")


def tree(root: type[errors.GatewayError]) -> list[type[errors.GatewayError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in tree(child))]


def refusal_tree(root: type[Refused]) -> list[type[Refused]]:
    return [root, *(kind for child in root.__subclasses__() for kind in refusal_tree(child))]


def listed() -> set[tuple[int, str]]:
    """Each status and code of the README's table of errors; one status in a row stands for all of its codes."""
    found: set[tuple[int, str]] = set()
    for row in README.split("### Errors of the gateway's own")[1].split("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:3]]
        if len(cells) == 2 and cells[0][:1].isdigit():
            statuses, names = cells[0].split(", "), re.findall(r"`(\w+)`", cells[1])
            found |= set(zip(map(int, statuses if len(statuses) > 1 else statuses * len(names)), names, strict=True))
    return found


def test_the_table_of_errors_lists_every_code_with_its_status_and_no_other() -> None:
    assert listed() == {(kind.status, kind.code) for kind in tree(errors.GatewayError)}


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = set(re.findall(r"([A-Z]\w+) (?:(\d{3})|\(in band\))", errors.__doc__ or ""))
    ours = {kind for kind in tree(errors.GatewayError) if kind.__module__ == errors.__name__}
    kinds = {kind for kind in ours if not kind.__subclasses__()}
    assert drawn == {(kind.__name__, "" if kind is errors.StreamBroken else str(kind.status)) for kind in kinds}


@pytest.mark.parametrize("name", list(VarianceClass))
def test_every_class_of_variance_is_documented(name: VarianceClass) -> None:
    assert f"| `{name}` |" in README


@pytest.mark.parametrize("command", ["make demo", "make test", "tollway check", "tollway up", "tollway doctor"])
def test_the_commands_a_newcomer_needs_are_named(command: str) -> None:
    assert command in README


def test_every_picture_is_there() -> None:
    root = Path(__file__).resolve().parents[2]
    pictures = [line.split("](")[1].rstrip(")") for line in README.splitlines() if line.startswith("![")]
    assert pictures
    assert [picture for picture in pictures if not (root / picture).is_file()] == []


WIRE = (Path(__file__).resolve().parents[2] / "deploy" / "docs" / "wire.md").read_text("utf-8")


@pytest.mark.parametrize(
    "name",
    [
        *sorted(name.decode() for name in FORWARDED),
        FORWARDED_PREFIX.decode() + "*",
        *openapi.HEADERS,
        *(parameter["name"] for parameter in openapi.PARAMETERS),
        *BODY_IDS,
        *sorted(name.decode() for name in PRIVATE - {b"cookie"}),
        *(prefix.decode() + "*" for prefix in PRIVATE_PREFIXES),
    ],
)
def test_what_the_gateway_does_with_a_header_is_told(name: str) -> None:
    assert f"`{name}`" in WIRE


@pytest.mark.parametrize("kind", Kind)
def test_every_field_that_is_checked_is_told(kind: Kind) -> None:
    assert [name for name in openapi.body_schema(kind)["properties"] if f"`{name}`" not in WIRE] == []


def test_the_example_of_the_page_on_tiers_is_a_configuration() -> None:
    example = TIERS.partition("```yaml\n")[2].partition("```")[0]
    env = {"ACME_KEY": "a-key-of-enough-length", "OPENAI_API_KEY": "sk-test"}
    config = load_text(example, RoutingFile, env=env).routing()
    assert {tier.name for tier in config.tiers.values()} == {"interactive", "agent"}


ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "deploy" / "docs").glob("*.md"))
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\btest_\w+\b(?!\.py|/)", page.read_text("utf-8")))
    assert sorted(named - TESTS) == []


def test_every_fault_of_a_peer_has_a_test_that_shows_it_right() -> None:
    text = (ROOT / "deploy" / "docs" / "peer-faults.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| where", "| ---"))]
    assert len(rows) > 50
    assert [row for row in rows if not re.search(r"`test_\w+` \|$", row)] == []


def test_every_test_of_peers_faults_is_on_their_page() -> None:
    source = (ROOT / "tests" / "gateway" / "routes" / "test_peer_faults.py").read_text("utf-8")
    page = (ROOT / "deploy" / "docs" / "peer-faults.md").read_text("utf-8")
    assert [name for name in re.findall(r"def (test_\w+)", source) if f"`{name}`" not in page] == []


COLLECTOR = (Path(__file__).resolve().parents[2] / "deploy" / "docs" / "collector.md").read_text("utf-8")


def test_the_example_of_the_page_on_the_collector_is_a_section() -> None:
    section = yaml.safe_load(COLLECTOR.partition("```yaml\n")[2].partition("```")[0])["collector"]
    assert set(CollectorSection.model_validate(section).model_dump()) == set(section)


def test_the_stock_collector_in_front_sends_what_ours_takes_and_gives_nothing_up() -> None:
    path = Path(__file__).resolve().parents[2] / "deploy" / "config" / "otel-collector.yaml"
    config, ours = yaml.safe_load(path.read_text("utf-8")), CollectorSection()
    sends, queue = config["exporters"]["otlp_http"], config["exporters"]["otlp_http"]["sending_queue"]
    assert sends["endpoint"] == f"http://{ours.otlp_http}"
    assert sends["headers"] == {"authorization": "Bearer ${env:APP_OTLP_TOKEN}"}
    assert sends["compression"] in COLLECTOR.partition("/v1/traces`")[2].partition("\n")[0]
    assert queue["batch"]["max_size"] <= ours.max_body_bytes
    assert queue["storage"] in config["extensions"]
    assert (sends["retry_on_failure"]["max_elapsed_time"], queue["block_on_overflow"]) == ("0s", True)
    assert config["service"]["pipelines"] == {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}}


@pytest.mark.parametrize("kind", [kind for kind in refusal_tree(Refused) if kind is not Refused])
def test_every_refusal_of_the_collector_is_told_by_its_reason(kind: type[Refused]) -> None:
    assert f"`{kind.reason}`" in COLLECTOR


def test_the_tree_of_refusals_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"^ +([A-Z]\w+) +(\d{3}) +([A-Z_]+)\b", refusals.__doc__ or "", re.MULTILINE)
    codes = {code.name: code.value[0] for code in grpc.StatusCode}
    ours = {(kind.__name__, kind.http_status, kind.grpc_code) for kind in refusal_tree(Refused) if kind is not Refused}
    assert {(name, int(status), codes[code]) for name, status, code in drawn} == ours


API = (ROOT / "deploy" / "docs" / "api.md").read_text("utf-8")
CLOSE = (ROOT / "deploy" / "docs" / "close.md").read_text("utf-8")


def test_the_page_of_the_finance_api_lists_every_code_with_its_status_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{3}) \| ([^|]+) \|", API, re.MULTILINE)
    assert {(name, int(status)) for status, names in rows for name in re.findall(r"`(\w+)`", names)} == set(
        api_errors.CODES.items()
    )


def test_the_page_of_the_close_tells_every_blocker_step_and_file() -> None:
    told = set(re.findall(r"`([\w.]+)`", "\n".join(re.findall(r"^\| ([^|]+) \|", CLOSE, re.MULTILINE))))
    assert {*BlockerKind, *Step, *pack_check.FILES, "recon.xlsx", "manifest.json"} - told == {"reopen"}
    assert "`reopen --reason`" in CLOSE
