"""Collectors in processes of their own, ended with the test."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector.processes import SMALL, RunningCollector
from tests.ports import free_port


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[Callable[..., RunningCollector]]:
    """Start collectors against a store; those still alive at the end of the test are ended."""
    started: list[RunningCollector] = []

    def start(
        store: Any,
        *,
        grpc: bool = False,
        tls: dict[str, str] | None = None,
        context: ssl.SSLContext | None = None,
        store_url: str = "",
        **limits: Any,
    ) -> RunningCollector:
        collector = RunningCollector(
            folder=tmp_path / f"collector-{len(started)}" / "collector",
            store_url=store_url or store.url,
            secrets_dir=store.data_dir / "secrets",
            limits=SMALL | limits,
            grpc_port=free_port() if grpc else None,
            tls=tls or {},
            context=context,
        )
        started.append(collector)
        collector.start()
        return collector

    yield start
    for collector in started:
        if collector.running:
            collector.kill()
