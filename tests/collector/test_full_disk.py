"""A full disk under a collector: senders are told 503 and when to come again, nothing acknowledged is lost, it ends.

The disk is a small tmpfs of the test's own. Where none can be mounted, every file of the process is bounded instead.
"""

import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.otlp import split_keys
from collector.sealed import list_segments, read_segment
from tests.collector.emitting import body, keys
from tests.collector.processes import RunningCollector, until

pytestmark = pytest.mark.slow


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, bool]]:
    """A folder, and whether it is a disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    yield folder, mounted
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> None:
    """All that there is."""
    fd = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:
        pass
    finally:
        os.close(fd)


@pytest.mark.parametrize("reserve", [0, 262_144], ids=["to the last byte", "down to the reserve"])
def test_a_full_disk_is_a_503_that_ends_by_itself_and_costs_nothing_acknowledged(
    disk: tuple[Path, bool], tmp_path: Path, reserve: int
) -> None:
    folder, mounted = disk
    if reserve and not mounted:
        return  # The reserve is of a disk; that of a folder which is no disk is shown in test_spool.
    limits = {"free_bytes_min": reserve, "segment_age_s": 0.1, "retry_s_max": 0.5}
    collector = RunningCollector(folder / "collector", "http://127.0.0.1:9", tmp_path, limits=limits)
    acknowledged: list[bytes] = []

    def send() -> httpx.Response:
        fresh = keys(40)
        answer = collector.post(body(fresh))
        acknowledged.extend(fresh if answer.status_code == 200 else [])
        return answer

    collector.start()
    try:
        assert send().status_code == 200
        if mounted:
            fill(folder)
        else:
            assert collector.process
            resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        until(lambda: send().status_code == 503, "it is full")
        refused = collector.post(body(keys(1)))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "tollway_collector_refusing 1.0" in collector.get("/metrics").text
        assert collector.get("/readyz").status_code == 200
        (folder / "filler").unlink(missing_ok=True)
        if not mounted and collector.process:
            unbounded = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(collector.process.pid, resource.RLIMIT_FSIZE, unbounded)
        until(lambda: send().status_code == 200, "it takes again", within_s=10)
    finally:
        collector.kill()
    spooled = [
        key
        for path in list_segments(collector.folder / "spool")
        for record in read_segment(path).records.values()
        for key in split_keys(record.keys)
    ]
    assert sorted(spooled) == sorted(acknowledged)
