"""No client of the wire suite is left without a check of a promise."""

import re
from pathlib import Path

import pytest

from tests.gateway.wire_suite import test_python_client, test_raw_sockets
from tests.gateway.wire_suite.vendor import PROMISES

NODE = (Path(__file__).parent / "node" / "check.mjs").read_text("utf-8")


@pytest.mark.parametrize("promise", PROMISES)
def test_each_promise_is_checked_with_every_client(promise: str) -> None:
    assert hasattr(test_python_client, f"test_{promise}")
    assert hasattr(test_raw_sockets, f"test_{promise}")
    assert re.search(rf"^  async {promise}\(\)", NODE, re.MULTILINE)


def test_the_python_and_the_node_client_check_nothing_else() -> None:
    ours = {name.removeprefix("test_") for name in vars(test_python_client) if name.startswith("test_")}
    theirs = set(re.findall(r"^  async (\w+)\(\) \{", NODE, re.MULTILINE))
    assert ours == theirs == set(PROMISES)
