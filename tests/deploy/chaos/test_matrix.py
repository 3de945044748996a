"""The kill matrix, small: real processes die, stop and run out of disk; `make chaos` plays it at full size."""

from collections.abc import Iterator

import pytest

from deploy.chaos.matrix import ROWS, opened, play_row
from deploy.chaos.scene import Scene

pytestmark = pytest.mark.slow

MOMENTS = 4
FULL_RUN_ONLY = {
    "kill-gateway",
    "kill-replay",
    "kill-store",
    "stop-store",
    "strace-collector",
    "strace-gateway",
    "strace-store",
}
"""They need strace, or others tell as much: a replay dies at each of its steps, both are killed, the store is away for
hours, the demo's gateway dies."""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with opened(seed=1) as scene:
        yield scene


@pytest.mark.parametrize("row", sorted(ROWS.keys() - FULL_RUN_ONLY))
def test_nothing_acknowledged_is_missing_or_there_twice_and_the_sums_agree(scene: Scene, row: str) -> None:
    line = play_row(scene, row, MOMENTS)
    assert line.result is not None, line.why
    assert not line.failed, line.as_json()
    assert line.result.moments > 0
