"""SIGKILL, again and again, of real processes that write, rotate, ship and recover; their collector keeps failing."""

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.gateway.journal.reading import operations, outcomes
from tests.gateway.otlp_receiver import Answer, Sent, receiver

ROOT = Path(__file__).parents[3]
ROUNDS = 4
"""Two writers are killed in each; what they leave, the next two recover."""
COMMAND = [sys.executable, "-m", "tests.gateway.journal.writer"]


@dataclass
class Said:
    """What the writers said they had recorded."""

    began: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    answered: set[str] = field(default_factory=set)

    def hear(self, line: str) -> None:
        """Keep one whole line."""
        word, _, name = line.strip().partition(" ")
        getattr(self, word).add(name)


@contextmanager
def writer(root: Path, worker: str, url: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [*COMMAND, str(root), worker, url], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def killed_after(process: "subprocess.Popen[str]", lines: int, said: Said) -> None:
    """Hear that many lines, kill, and hear what was still in the pipe but for a line cut short."""
    assert process.stdout is not None
    for _ in range(lines):
        said.hear(process.stdout.readline())
    process.kill()
    for line in process.stdout:
        if line.endswith("\n"):
            said.hear(line)


@pytest.mark.slow
def test_sigkill_at_any_moment_costs_no_attempt_and_counts_none_twice(tmp_path: Path) -> None:
    draw = random.Random(20261123)
    moods = [Answer()] * 6 + [Answer(503), Answer(429), Answer(hang_up=True), Answer(hang_up=True, keep=True)]

    def moody(_sent: Sent) -> Answer:
        return draw.choice(moods)

    said = Said()
    with receiver() as collector:
        collector.rule = moody
        for _ in range(ROUNDS):
            with (
                writer(tmp_path, "worker-0", collector.url) as one,
                writer(tmp_path, "worker-1", collector.url) as two,
            ):
                killed_after(one, draw.randrange(1, 900), said)
                killed_after(two, draw.randrange(1, 900), said)
        drain = [*COMMAND, str(tmp_path), "worker-0", collector.url, "--drain"]
        drained = subprocess.run(drain, cwd=ROOT, stderr=subprocess.DEVNULL, check=False)
        spans = collector.kept()
    assert drained.returncode == 0
    found, served = outcomes(spans), operations(spans)
    assert said.began <= set(found)
    assert {found[attempt] for attempt in said.ended} == {"ok"}
    assert {served[span] for span in said.answered} == {"ok"}
    lost = {attempt for attempt, outcome in found.items() if outcome == "lost"}
    assert lost, "no kill found an attempt under way"
    # Recorded, and killed before it could be said: at most one record of each process.
    assert len(set(found) - said.began) <= 2 * ROUNDS
    assert len(set(found) - lost - said.ended) <= 2 * ROUNDS
    assert [path.name for path in tmp_path.iterdir()] == ["parked"]
