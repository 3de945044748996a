"""Collectors in processes of their own, ended with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.processes import SMALL, RunningCollector


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[Callable[..., RunningCollector]]:
    """Start collectors against a store; those still alive at the end of the test are ended."""
    started: list[RunningCollector] = []

    def start(store: Any, **limits: Any) -> RunningCollector:
        collector = RunningCollector(
            folder=tmp_path / f"collector-{len(started)}" / "collector",
            store_url=store.url,
            secrets_dir=store.data_dir / "secrets",
            limits=SMALL | limits,
        )
        started.append(collector)
        collector.start()
        return collector

    yield start
    for collector in started:
        if collector.running:
            collector.kill()
