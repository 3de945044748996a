"""The vendor that a test may start, with settings that it may change."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.demo.vendor_process import RunningVendor, launch, plain_settings


@pytest.fixture
def start_vendor(tmp_path: Path) -> Iterator[Callable[..., RunningVendor]]:
    """Call it with settings to change; every vendor it started is ended with the test."""
    with ExitStack() as stack:

        def start(**changes: Any) -> RunningVendor:
            ledger = tmp_path / "ledger.jsonl"
            config = tmp_path / "vendor.json"
            config.write_text(json.dumps({**plain_settings(ledger), **changes}))
            vendor = launch(config, ledger)
            stack.callback(vendor.kill)
            return vendor

        yield start
