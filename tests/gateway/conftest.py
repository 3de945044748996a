"""Fixtures of the gateway's tests. They run on uvloop, as the gateway does."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from tests.gateway.fakes import ScriptedUpstream


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop the gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    """A scripted upstream."""
    scripted = ScriptedUpstream()
    await scripted.start()
    yield scripted
    await scripted.stop()


@pytest.fixture
async def alternate() -> AsyncIterator[ScriptedUpstream]:
    """Another one."""
    scripted = ScriptedUpstream()
    await scripted.start()
    yield scripted
    await scripted.stop()
