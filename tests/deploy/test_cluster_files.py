"""deploy/cluster: two shards of two replicas, three Keepers, nothing beyond loopback, and no secret in a file."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

from deploy.settings import TollwayFile
from gateway.config import load_text
from sql.addresses import addresses

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = ROOT / "deploy" / "cluster"
COMPOSE = yaml.safe_load((CLUSTER / "compose.yaml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
SERVERS = {name: one for name, one in SERVICES.items() if "clickhouse-server" in one["image"]}
KEEPERS = {name: one for name, one in SERVICES.items() if "clickhouse-keeper" in one["image"]}
DOC = (ROOT / "deploy" / "docs" / "cluster.md").read_text("utf-8")


def xml(path: str) -> ElementTree.Element:
    return ElementTree.parse(CLUSTER / path).getroot()  # noqa: S314 - our own file


def texts(root: ElementTree.Element, path: str) -> list[str]:
    return [element.text or "" for element in root.findall(path)]


def test_there_are_two_shards_of_two_replicas_and_three_keepers() -> None:
    named = sorted((one["environment"]["SHARD"], one["environment"]["REPLICA"]) for one in SERVERS.values())
    assert named == [("01", "a"), ("01", "b"), ("02", "a"), ("02", "b")]
    assert sorted(one["environment"]["KEEPER_ID"] for one in KEEPERS.values()) == ["1", "2", "3"]
    assert set(SERVICES) == {*SERVERS, *KEEPERS}


def test_every_server_and_keeper_is_where_the_configuration_looks_for_it() -> None:
    server, keeper = xml("clickhouse/server.xml"), xml("keeper/keeper.xml")
    shards = [texts(shard, "replica/host") for shard in server.findall("remote_servers/tollway/shard")]
    assert shards == [["store-01-a", "store-01-b"], ["store-02-a", "store-02-b"]]
    assert all(f"-{one['environment']['SHARD']}-" in name for name, one in SERVERS.items())
    assert all(one["environment"]["HOST"] == one["hostname"] == name for name, one in SERVERS.items())
    assert texts(server, "zookeeper/node/host") == list(KEEPERS)
    assert texts(keeper, ".//raft_configuration/server/hostname") == list(KEEPERS)
    assert set(texts(server, "zookeeper/node/port")) == {keeper.findtext(".//tcp_port")}


def test_what_the_xml_takes_from_the_environment_is_given_and_no_secret_is_written_down() -> None:
    of_server = ("clickhouse/server.xml", "clickhouse/users.xml")
    for path, services in [*((path, SERVERS) for path in of_server), ("keeper/keeper.xml", KEEPERS)]:
        names = {element.attrib["from_env"] for element in xml(path).iter() if "from_env" in element.attrib}
        assert all(names <= one["environment"].keys() for one in services.values())
        assert not [e.tag for e in xml(path).iter() if e.tag in ("password", "secret") and (e.text or "").strip()]
    for one in SERVERS.values():
        for name, value in one["environment"].items():
            assert not re.search("PASSWORD|SECRET", name) or value.startswith(f"${{{name}:?")


def test_every_mounted_file_is_there_and_every_volume_is_one_services_own() -> None:
    mounts = [mount.split(":")[0] for one in SERVICES.values() for mount in one["volumes"]]
    assert all((CLUSTER / mount).is_file() for mount in mounts if mount.startswith("."))
    own = [mount for mount in mounts if not mount.startswith(".")]
    assert sorted(own) == sorted(COMPOSE["volumes"])


def test_nothing_listens_beyond_loopback_and_every_image_names_a_version() -> None:
    assert all(port.startswith("127.0.0.1:") for one in SERVICES.values() for port in one.get("ports", []))
    assert not any("ports" in one for one in KEEPERS.values())
    assert all(re.search(r":\$\{CLICKHOUSE_VERSION:-\d+\.\d+\}$", one["image"]) for one in SERVICES.values())


def test_the_pages_section_reaches_each_replica_under_its_own_shard() -> None:
    written = re.search(r"^```yaml\n(store:.*?)^```", DOC, re.MULTILINE | re.DOTALL)
    assert written is not None
    example = (ROOT / "deploy" / "config" / "tollway.example.yaml").read_text("utf-8")
    text = re.sub(r"^store: .*$", lambda _: written[1], example, flags=re.MULTILINE)
    secrets = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "x" * 20)
    section = load_text(text, TollwayFile, env=secrets).store
    published: dict[str, list[str]] = {}
    for one in SERVERS.values():
        port = one["ports"][0].split(":")[1]
        published.setdefault(one["environment"]["SHARD"], []).append(f"http://127.0.0.1:{port}")
    assert {name: list(urls) for name, urls in section.shards.items()} == published
    first, second = addresses(section.url)
    assert (first in published["01"], second in published["02"]) == (True, True)
    assert xml("clickhouse/server.xml").find(f"remote_servers/{section.cluster}") is not None


ASK = """
import chdb, json, sys
ask = chdb.connect(":memory:?config-file=" + sys.argv[1]).query
def rows(query): return [line.split("\\t") for line in str(ask(query, "TSV")).splitlines()]
for grant in sys.argv[2:]:
    ask("SELECT formatQuery('" + grant + " TO somebody')", "TSV")
print(json.dumps([rows("SELECT macro, substitution FROM system.macros ORDER BY macro"),
                  rows("SELECT host_name FROM system.clusters WHERE cluster = 'tollway' ORDER BY host_name")]))
"""


@pytest.mark.slow
def test_the_engine_reads_the_servers_configuration_and_every_grant() -> None:
    grants = texts(xml("clickhouse/users.xml"), ".//grants/query")
    environment = os.environ | {"SHARD": "02", "REPLICA": "b", "HOST": "store-02-b", "TOLLWAY_CLUSTER_SECRET": "s"}
    command = [sys.executable, "-c", ASK, str(CLUSTER / "clickhouse" / "server.xml"), *grants]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout
    macros, cluster = json.loads(said.splitlines()[-1])
    assert macros == [["replica", "b"], ["shard", "02"]]
    assert cluster == [["store-01-a"], ["store-01-b"], ["store-02-a"], ["store-02-b"]]
    assert len(grants) == 6
