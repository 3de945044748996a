"""The control database: private, transactional, and shared by several processes."""

import stat
import threading
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, String, Table, select, update

from gateway.control import database as module
from gateway.control.database import MEMORY, ControlUnavailable, Database

TABLES = MetaData()
COUNTS = Table("test_counts", TABLES, Column("name", String, primary_key=True), Column("count", Integer))


@pytest.fixture(autouse=True)
def only_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests' own table, and no other."""
    monkeypatch.setattr(module, "METADATA", TABLES)


def opened(data_dir: Path) -> Database:
    database = Database.under(data_dir)
    database.open()
    return database


def test_its_file_is_nobody_elses_to_read(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.transaction() as connection:
        connection.execute(COUNTS.insert().values(name="a", count=1))
        files = sorted((tmp_path / "control").iterdir())
        assert "tollway.sqlite3" in [file.name for file in files]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE((tmp_path / "control").stat().st_mode) == 0o700
    database.close()


def test_what_was_committed_is_there_after_another_opening(tmp_path: Path) -> None:
    database = opened(tmp_path)
    database.run(lambda connection: connection.execute(COUNTS.insert().values(name="a", count=1)))
    database.close()
    database = opened(tmp_path)
    assert database.run(lambda connection: connection.scalar(select(COUNTS.c.count))) == 1
    database.close()


@pytest.mark.parametrize("memory", [True, False])
def test_what_a_failed_transaction_did_is_undone(tmp_path: Path, memory: bool) -> None:
    database = Database(MEMORY) if memory else Database.under(tmp_path)
    database.open()

    def fail(connection: Connection) -> None:
        connection.execute(COUNTS.insert().values(name="a", count=1))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        database.run(fail)
    assert database.run(lambda connection: connection.scalar(select(COUNTS.c.count))) is None
    database.close()


def test_reading_and_then_writing_loses_no_ones_update(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.run(lambda connection: connection.execute(COUNTS.insert().values(name="a", count=0)))

    def count_up(database: Database) -> None:
        for _ in range(25):
            with database.transaction() as connection:
                count = connection.scalar(select(COUNTS.c.count))
                assert count is not None
                connection.execute(update(COUNTS).values(count=count + 1))

    threads = [threading.Thread(target=count_up, args=(database,)) for database in (one, one, other, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert one.run(lambda connection: connection.scalar(select(COUNTS.c.count))) == 100
    one.close()
    other.close()


async def test_work_done_aside_comes_back(tmp_path: Path) -> None:
    database = opened(tmp_path)
    assert await database.aside(lambda connection: connection.scalar(select(COUNTS.c.count))) is None
    database.close()


@pytest.mark.parametrize(
    "url",
    ["nonsense", "nosuch://host/db", "mysql+nosuchdriver://user:secret-word@host/db", "oracle://u:secret-word@h/d"],
)
def test_a_url_we_cannot_use_says_what_to_write_and_no_password(url: str) -> None:
    with pytest.raises(ControlUnavailable, match=r"control\.url") as caught:
        Database(url)
    assert "secret-word" not in str(caught.value)


def test_a_folder_that_cannot_be_had_is_told_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "control").write_text("not a folder")
    with pytest.raises(ControlUnavailable, match="control"):
        Database.under(tmp_path).open()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "tollway.sqlite3").write_bytes(b"not a database" * 100)
    database = Database.under(tmp_path)
    with pytest.raises(ControlUnavailable, match="not a database"):
        database.open()
    database.close()
