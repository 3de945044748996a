"""A skip is a failure where all has to have run, but for what says that it may be missing, which is told aloud."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_passes(): pass
def test_skipped(): pytest.skip("no browser")
@pytest.mark.may_skip("nobody has to have node")
def test_allowed(): pytest.skip("no node here")
@pytest.mark.may_skip("nobody has to have node")
def test_fails_all_the_same(): assert False
"""


def run(folder: Path, *options: str) -> str:
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -p tests.no_skips --strict-markers\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:dash", *options, "test_it.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_under_no_skips_only_what_may_be_missing_may_be_skipped(tmp_path: Path) -> None:
    said = run(tmp_path, "--no-skips")
    assert "2 failed, 1 passed, 1 skipped" in said
    assert "skipped, and --no-skips is set: no browser" in said


def test_what_was_not_shown_is_said_at_the_end_with_its_reason(tmp_path: Path) -> None:
    said = run(tmp_path)
    assert "1 failed, 1 passed, 2 skipped" in said
    assert said.count("NOT SHOWN ON THIS MACHINE") == 1
    assert "test_allowed: Skipped: no node here" in said
    assert "nobody has to have node" in said
