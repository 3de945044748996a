"""The vendor that a test may start, with settings that it may change."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.demo.vendor_process import RunningVendor, launch, plain_settings


def started(folder: Path, **changes: Any) -> RunningVendor:
    """A vendor with those settings changed."""
    ledger = folder / "ledger.jsonl"
    config = folder / "vendor.json"
    config.write_text(json.dumps({**plain_settings(ledger), **changes}))
    return launch(config, ledger)


@pytest.fixture
def start_vendor(tmp_path: Path) -> Iterator[Callable[..., RunningVendor]]:
    """Call it with settings to change; every vendor it started is ended with the test."""
    with ExitStack() as stack:

        def start(**changes: Any) -> RunningVendor:
            vendor = started(tmp_path, **changes)
            stack.callback(vendor.kill)
            return vendor

        yield start


@pytest.fixture(scope="module")
def plain_vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningVendor]:
    """A vendor without faults that the module's tests share: none may ask what it has in its books over all."""
    vendor = started(tmp_path_factory.mktemp("vendor"))
    yield vendor
    vendor.kill()
