"""The embedded store as a cluster of two shards, for what needs an engine that knows clusters: run as the store is.

Keeper is the engine's own, in memory; each shard is this very server, so what is read over both is there twice. chDB
has no port for other servers and no ON CLUSTER: replicated tables can be made and not be filled.
"""

import re
import tempfile
from pathlib import Path

import chdb

from sql.embedded import allowed
from sql.embedded.__main__ import main
from sql.migrations import available, views
from sql.placement import Placement

CLUSTER = "two"
ON_CLUSTER = f" ON CLUSTER '{CLUSTER}'"
_SHARD = "<shard><replica><host>localhost</host><port>19000</port></replica></shard>"
CONFIG = f"""<clickhouse>
<zookeeper><implementation>testkeeper</implementation></zookeeper>
<macros><shard>01</shard><replica>a</replica></macros>
<tcp_port>19000</tcp_port>
<logger><level>none</level></logger>
<remote_servers><{CLUSTER}>{_SHARD}{_SHARD}</{CLUSTER}></remote_servers>
</clickhouse>"""


def keeperless() -> list[str]:
    """Schema and views of the cluster with plain tables for the replicated ones, so that they can be filled here."""
    placed = (one for file in (*available(), *views()) for one in Placement(CLUSTER).statements(file.text))
    return [re.sub(r"Replicated(\w*MergeTree)\([^)]*\)", r"\1", one.replace(ON_CLUSTER, "")) for one in placed]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.xml"
        config.write_text(CONFIG)
        connect = chdb.connect
        chdb.connect = lambda path: connect(f"{path}?config-file={config}")
        allowed.ENGINES |= {"Distributed"}  # type: ignore[misc]
        main()
