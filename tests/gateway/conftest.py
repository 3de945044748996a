"""Fixtures of the gateway's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.gateway.fakes import ScriptedUpstream


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
