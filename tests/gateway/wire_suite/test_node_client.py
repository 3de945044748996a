"""The wire suite with the official `openai` client for Node, as its lock names it.

Where this machine has no Node, or its registry cannot be reached, nothing is shown of it: that is said aloud, and is no
failure, since Tollway itself needs neither.
"""

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from tests.gateway.fakes import ScriptedUpstream
from tests.gateway.serving import ACME, GLOBEX
from tests.gateway.wire_suite.vendor import PROMISES, suite

HERE = Path(__file__).parent / "node"
INSTALL_S = 120
CHECK_S = 60


async def run(*command: str, cwd: Path, within_s: float, **environment: str) -> tuple[int, str]:
    """The exit status of a command, and what it printed; 124 if it took too long."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), within_s)
    except TimeoutError:
        process.kill()
        await process.communicate()
        return 124, f"{command[0]} took more than {within_s} s"
    return process.returncode or 0, printed.decode()


@pytest.mark.slow
@pytest.mark.may_skip("node, npm and a package registry are not everywhere, and Tollway needs none of them")
async def test_the_official_node_client_sees_every_promise_kept(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("there is no node or no npm here, so the Node client was NOT tried")
    for name in ("package.json", "package-lock.json", "check.mjs"):
        shutil.copy(HERE / name, tmp_path)
    status, said = await run(npm, "ci", "--no-audit", "--no-fund", cwd=tmp_path, within_s=INSTALL_S)
    if status:
        pytest.skip(f"`npm ci` did not install the client, so the Node client was NOT tried: {said[-300:]}")
    async with suite(upstream) as served:
        keys = {"GATEWAY_URL": served.url, "ACME_KEY": ACME, "GLOBEX_KEY": GLOBEX, "NO_PROXY": "127.0.0.1"}
        status, said = await run(node, "check.mjs", cwd=tmp_path, within_s=CHECK_S, **keys)
    assert status == 0, said
    assert [line.removeprefix("ok ") for line in said.splitlines() if line.startswith("ok ")] == list(PROMISES)
