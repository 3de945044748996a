"""Tokens are made once, kept to their owner, and agreed on by all who ask at once."""

import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pydantic import SecretStr

from deploy.serving import routing
from deploy.settings import read
from sql.credentials import ensure_file
from tests.deploy.test_settings import ENV, EXAMPLE


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


def test_the_key_of_callers_ids_is_made_once_where_the_file_gives_none(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8").replace("data_dir: ./data", f"data_dir: {tmp_path}")
    config = tmp_path / "tollway.yaml"
    config.write_text(text)
    made = [routing(read(config, ENV)).hash_key.get_secret_value() for _ in range(2)]
    path = tmp_path / "secrets" / "gateway_hash_key"
    assert made == [path.read_text().strip()] * 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_of_callers_ids_that_the_file_gives_is_used(tmp_path: Path) -> None:
    settings = read(EXAMPLE, ENV)
    gateway = settings.file.gateway.model_copy(update={"hash_key": SecretStr("k" * 32)})
    given = replace(settings, file=settings.file.model_copy(update={"gateway": gateway}))
    assert routing(given).hash_key.get_secret_value() == "k" * 32
    assert list(tmp_path.iterdir()) == []
