"""The vendor is an independent witness: no line of it, and no module it loads, is Tollway's."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo import vendor

TOLLWAY = {"gateway", "collector", "analytics", "dashboards", "sql", "deploy"}
OWN = ("deploy", "deploy.demo", "deploy.demo.vendor")


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively: write it out, so that it can be checked"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted(Path(vendor.__path__[0]).glob("**/*.py")), ids=lambda path: path.name)
def test_no_module_of_the_vendor_imports_tollway(path: Path) -> None:
    ours = {name for name in imported(path) if name.split(".")[0] in TOLLWAY}
    assert {name for name in ours if not name.startswith("deploy.demo.vendor")} == set()


@pytest.mark.slow
def test_the_running_vendor_has_no_module_of_tollway_loaded() -> None:
    program = "import sys, deploy.demo.vendor.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.split(".")[0] in TOLLWAY}
    assert "deploy.demo.vendor.ledger" in ours
    assert {name for name in ours if not name.startswith("deploy.demo.vendor.")} == set(OWN)
