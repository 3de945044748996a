"""Fixtures of the gateway's tests. They run on uvloop, as the gateway does."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.gateway.fakes import ScriptedUpstream, StartUpstream


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def start_upstream() -> AsyncIterator[StartUpstream]:
    """Starts scripted upstreams, and stops them whatever becomes of the test: uvloop waits for ever for an open one."""
    started: list[ScriptedUpstream] = []

    async def start(tls: ssl.SSLContext | None = None) -> ScriptedUpstream:
        scripted = ScriptedUpstream()
        started.append(scripted)
        await scripted.start(tls)
        return scripted

    yield start
    for scripted in started:
        await scripted.stop()


@pytest.fixture
async def upstream(start_upstream: StartUpstream) -> ScriptedUpstream:
    """A scripted upstream."""
    return await start_upstream()


@pytest.fixture
async def alternate(start_upstream: StartUpstream) -> ScriptedUpstream:
    """Another one."""
    return await start_upstream()
