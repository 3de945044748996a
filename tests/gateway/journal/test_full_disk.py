"""The disk itself is full: intents are refused, what is under way is written all the same, and it mends by itself."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
MOUNT = 'mount -t tmpfs -o size=768k none "$0" && exec "$@"'
"""In a mount namespace of its own, a disk of 768 KiB."""


def can_mount() -> bool:
    """Whether the kernel lets us have a small disk of our own."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(
            ["unshare", "-rm", "sh", "-c", MOUNT, "/mnt", "true"], check=False, capture_output=True
        ).returncode
        == 0
    )


SMALL_DISKS: dict[str, tuple[list[str], int, int]] = {"each file is bounded": ([], 0, 40_000)}
if can_mount():
    SMALL_DISKS["a full tmpfs"] = (["unshare", "-rm", "sh", "-c", MOUNT], 1_000_000, 0)


@pytest.mark.slow
@pytest.mark.parametrize("disk", SMALL_DISKS.values(), ids=SMALL_DISKS)
def test_a_full_disk_refuses_new_attempts_and_loses_none_under_way(
    tmp_path: Path, disk: tuple[list[str], int, int]
) -> None:
    mount, filler, file_bytes_max = disk
    prefix = [*mount, str(tmp_path)] if mount else []
    command = [sys.executable, "-m", "tests.gateway.journal.full_disk", str(tmp_path), str(filler), str(file_bytes_max)]
    ran = subprocess.run([*prefix, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    saw: dict[str, Any] = json.loads(ran.stdout)
    assert saw["begun"]
    assert "cannot be written" in saw["refusal"]
    assert saw["trouble"]
    # The ballast made room on the disk; a bound on the file leaves only memory until the next segment.
    assert bool(saw["waiting_in_memory"]) == bool(file_bytes_max)
    assert saw["shipped"] == dict.fromkeys(saw["begun"], "ok")
    assert saw["operations"] == len(saw["begun"])
    assert saw["trouble_after"] == ""
