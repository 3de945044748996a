"""The README tells what the code does: every error code, every subcommand, every class of variance, both commands."""

from pathlib import Path

import pytest

from analytics.reconciliation import VarianceClass
from gateway import errors

README = (Path(__file__).resolve().parents[2] / "README.md").read_text("utf-8")


def codes(root: type[errors.GatewayError]) -> set[str]:
    return {root.code} | {code for child in root.__subclasses__() for code in codes(child)}


def test_every_error_code_is_documented() -> None:
    assert {code for code in codes(errors.GatewayError) if f"`{code}`" not in README} == set()


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
