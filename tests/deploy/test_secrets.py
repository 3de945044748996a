"""Tokens are made once, kept to their owner, and agreed on by all who ask at once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sql.credentials import ensure_file


def test_a_secret_is_made_once_and_read_ever_after(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "token"
    first = ensure_file(path)
    assert len(first) >= 32
    assert ensure_file(path) == first


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "token"
    ensure_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_all_who_ask_at_once_get_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "token"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(ensure_file, [path] * 32))
    assert found == {path.read_text().strip()}
    assert [p.name for p in path.parent.iterdir()] == ["token"]
