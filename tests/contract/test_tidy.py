"""The tree keeps its shape: SQL in sql/, every query used, small files, small functions, no junk drawers."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gateway", "collector", "analytics", "dashboards", "sql", "deploy")
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
DRAWERS = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "stuff"}
SQL_TEXT = re.compile(
    r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|ALTER\s+TABLE|CREATE\s+(TABLE|VIEW|DATABASE)|DELETE\s+FROM)\b", re.DOTALL
)
QUERY_CALL = re.compile(r'\b(?:_?a?fetch(?:ed)?|execute|load|statement)\(\s*(?:[\w.()\[\]]+\s*,\s*)?"(\w+)"')


def modules() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def strings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Every text in a module that is not a docstring."""
    prose = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_one_small_idea(path: Path) -> None:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    assert path.stem not in DRAWERS, "name the file for the idea in it"
    assert text.count("\n") <= LINES_MAX, f"over {LINES_MAX} lines: which second idea is in here?"
    assert ast.get_docstring(tree), "say what the file promises"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= FUNCTION_LINES_MAX, f"{node.name} has {length} lines"


def test_sql_lives_in_sql() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules()
        if path.relative_to(ROOT).parts[0] != "sql"
        for node in strings(ast.parse(path.read_text("utf-8")))
        if SQL_TEXT.search(str(node.value))
    ]
    assert found == []


def test_every_query_is_used_and_every_use_exists() -> None:
    source = "\n".join(path.read_text("utf-8") for path in modules())
    used = set(QUERY_CALL.findall(source))
    assert used == {path.stem for path in (ROOT / "sql" / "queries").glob("*.sql")}


def test_every_query_says_what_it_means() -> None:
    silent = [p.name for p in (ROOT / "sql" / "queries").glob("*.sql") if not p.read_text("utf-8").startswith("-- ")]
    assert silent == []


def test_schema_files_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:3]) for path in (ROOT / "sql" / "schema").glob("*.sql"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    assert [str(path.relative_to(ROOT)) for path in modules() if marks.search(path.read_text("utf-8"))] == []
