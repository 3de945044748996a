"""The whole loop on real traffic: real processes, SIGKILL, and the vendors' own ledgers as the witness."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from analytics import pack_check
from analytics.reconciliation import VarianceClass

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CLASSES = {str(name) for name in VarianceClass}


def tollway(*arguments: str, within_s: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments], capture_output=True, text=True, timeout=within_s, check=False
    )


def demo(folder: Path, *flags: str, requests: int) -> dict[str, Any]:
    run = tollway("demo", "--requests", str(requests), "--exit", "--json", "--data", str(folder), *flags)
    assert run.returncode == 0, run.stderr[-3000:]
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def assert_the_books_close(report: dict[str, Any], *, unexplained: str = "0") -> None:
    assert report["duplicates"] == 0
    assert report["books"] == []
    assert set(report["variance_by_class"]) == CLASSES
    assert report["variance_by_class"] == report["expected_by_class"]
    variance = sum(map(Decimal, report["variance_by_class"].values()))
    assert variance == Decimal(report["invoiced_usd"]) - Decimal(report["metered_usd"])
    assert report["unexplained_usd"] == unexplained
    assert report["spans_landed"] >= report["attempts"] > 0


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("plain")
    return folder, demo(folder, requests=300)


def test_the_month_ties_out_to_the_vendors_ledgers(plain: tuple[Path, dict[str, Any]]) -> None:
    _, report = plain
    assert report["requests"] == 300
    assert_the_books_close(report)
    assert Decimal(report["metered_usd"]) > 0
    assert Decimal(report["variance_by_class"]["CANCELLED_STREAM"]) > 0
    assert Decimal(report["variance_by_class"]["RETRY_OR_FALLBACK"]) > 0


def test_the_exported_files_are_what_the_manifest_says(plain: tuple[Path, dict[str, Any]]) -> None:
    _, report = plain
    files = {Path(name).name: Path(name) for name in report["files"]}
    assert set(files) == {*pack_check.FILES, "recon.xlsx", "manifest.json"}
    assert pack_check.check(files["manifest.json"].parent) == []


def test_a_sigkill_of_gateway_and_collector_in_mid_traffic_loses_and_doubles_nothing(tmp_path: Path) -> None:
    report = demo(tmp_path, "--kill-gateway", "--kill-collector", requests=300)
    assert_the_books_close(report)
    assert report["killed"] == ["gateway", "collector"]


def test_a_hidden_surcharge_is_unexplained_to_the_last_digit(tmp_path: Path) -> None:
    report = demo(tmp_path, "--surcharge", requests=150)
    assert Decimal(report["surcharge_usd"]) > 0
    assert_the_books_close(report, unexplained=report["surcharge_usd"])


def test_the_demo_leaves_no_process_behind(plain: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = plain
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                left.append(command)
    assert left == []
