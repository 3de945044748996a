"""Fixtures of the tests of what vendors keep."""

import pytest

from tests.gateway.fakes import ScriptedUpstream
from tests.gateway.stored.vault import Vault


@pytest.fixture
def vault(upstream: ScriptedUpstream) -> Vault:
    """The account behind the scripted upstream."""
    kept = Vault()
    upstream.always = kept
    return kept
