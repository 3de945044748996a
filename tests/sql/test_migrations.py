"""The schema moves forward, once, and tells when somebody has rewritten history."""

import uuid
from dataclasses import replace

import pytest

import sql
from gateway.domain import clock
from gateway.telemetry.spans import SpanEncoder
from sql import landing, migrations
from sql.migrations import Migration, MigrationError, available, pending, views
from sql.placement import Placement
from tests.conftest import launch
from tests.gateway import facts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def of_their_own(tmp_path_factory):
    """A store for this module alone: starting one takes longer than all that a test asks of it."""
    running = launch(tmp_path_factory.mktemp("migrated"))
    yield running
    running.stop()


@pytest.fixture
def fresh(of_their_own):
    """It, without a table."""
    there = of_their_own.writer.query(
        "SELECT name FROM system.tables WHERE database = 'tollway' ORDER BY engine LIKE '%View' DESC"
    )
    for (name,) in there.result_rows:
        of_their_own.writer.command(f"DROP TABLE tollway.`{name}` SYNC")
    return of_their_own


def land(store, payload, batch=None):
    batch = batch or uuid.uuid4().hex
    landing.insert(
        store.writer, payload, batch_id=batch, sender="gateway", tenant="", received_at_ms=1_793_000_123_456,
        token=batch, query_id=batch,
    )  # fmt: skip


def spans(store):
    return list(store.reader.query("SELECT * FROM tollway.spans ORDER BY span_id").named_results())


def step(version, *statements, name=None):
    return Migration(version, name or f"{version:03}_step.sql", ";\n".join(statements) + ";\n")


FOUNDATION = available()[0]


def apply(store, *steps):
    return sql.migrate(store.writer, now=clock.utc_now(), migrations=[FOUNDATION, *steps])


def test_all_files_apply_in_order_and_a_second_run_does_nothing(fresh):
    names = [m.name for m in (*available(), *views())]
    assert [m.version for m in available()] == sorted(m.version for m in available())
    assert [m.version for m in views()] == sorted(m.version for m in views())
    assert pending(fresh.writer) == names
    assert fresh.migrate() == names
    assert fresh.migrate() == []
    assert pending(fresh.writer) == []
    recorded = fresh.reader.query("SELECT name, checksum FROM tollway.schema_migrations ORDER BY version").result_rows
    assert recorded == [(m.name, m.checksum) for m in available()]


def test_a_changed_file_is_refused_with_its_name_and_both_checksums(fresh):
    first = step(2, "CREATE TABLE IF NOT EXISTS tollway.a (x UInt8) ENGINE = MergeTree ORDER BY x")
    assert apply(fresh, first) == [FOUNDATION.name, first.name]
    changed = replace(first, text=first.text + "-- harmless\n")
    with pytest.raises(MigrationError) as refusal:
        apply(fresh, changed)
    assert all(word in str(refusal.value) for word in (first.name, first.checksum, changed.checksum))


def test_line_ends_do_not_change_a_checksum():
    assert (
        step(2, "SELECT 1\n").checksum
        == replace(step(2, "SELECT 1\n"), text=step(2, "SELECT 1\n").text.replace("\n", "\r\n")).checksum
    )


def test_a_store_from_a_newer_version_is_refused(fresh):
    apply(fresh, step(9, "SELECT 1", name="009_future.sql"))
    with pytest.raises(MigrationError, match=r"009_future\.sql .* use a newer version"):
        apply(fresh)


def test_a_late_file_with_a_low_number_is_refused(fresh):
    apply(fresh, step(3, "SELECT 1"))
    with pytest.raises(MigrationError, match=r"002_step\.sql has a number below 003_step\.sql"):
        apply(fresh, step(2, "SELECT 1"), step(3, "SELECT 1"))


def test_a_file_that_fails_half_way_is_finished_by_the_next_run(fresh):
    good = "CREATE TABLE IF NOT EXISTS tollway.half (x UInt8) ENGINE = MergeTree ORDER BY x"
    with pytest.raises(MigrationError, match=r"002_step\.sql, statement 2: .*UNKNOWN_TABLE"):
        apply(fresh, step(2, good, "CREATE VIEW IF NOT EXISTS tollway.v AS SELECT * FROM tollway.missing"))
    assert apply(fresh, step(2, good, "CREATE VIEW IF NOT EXISTS tollway.v AS SELECT * FROM tollway.half")) == [
        "002_step.sql"
    ]


def test_a_store_killed_between_two_statements_is_finished_after_it_reopens(start_store, tmp_path):
    store = start_store(tmp_path / "data")
    for statement in Placement().statements(available()[1].text)[:2]:
        sql.migrate(store.writer, now=clock.utc_now(), migrations=[FOUNDATION])
        store.writer.command(statement)
    store.kill()
    again = start_store(tmp_path / "data")
    assert again.migrate() == [m.name for m in (*available()[1:], *views())]
    assert again.reader.command("SELECT count() FROM tollway.attempts") == 0


def test_a_store_with_rows_migrates_in_place_keeps_them_and_takes_new_spans(fresh):
    """From 004: every column of a row stays what it was, old rows have honest defaults, new fields land."""
    sql.migrate(fresh.writer, now=clock.utc_now(), migrations=available()[:4])
    intent = facts.intent()
    land(fresh, SpanEncoder("w").attempt(facts.attempt(intent)) + SpanEncoder("w").operation(facts.operation(intent)))
    before = spans(fresh)
    assert fresh.migrate() == [m.name for m in (*available()[4:], *views())]
    after = spans(fresh)
    assert len(before) == 2
    assert [{name: row[name] for name in before[0]} for row in after] == before
    assert [row["batch_size"] for row in after if row["attempt_id"]] == [1]
    assert fresh.reader.command("SELECT count() FROM tollway.operations") == 1
    land(fresh, SpanEncoder("w").transition(facts.transition()))
    assert fresh.reader.command("SELECT count() FROM tollway.transitions") == 1
    assert fresh.reader.command("SELECT count() FROM tollway.rated_attempts") == 1


def test_statements_do_no_harm_when_they_are_applied_again(fresh):
    fresh.migrate()
    land(fresh, SpanEncoder("w").attempt(facts.attempt()))
    before = spans(fresh)
    for migration in (*available(), *views()):
        for statement in Placement().statements(migration.text):
            fresh.writer.command(statement)
    assert spans(fresh) == before
    land(fresh, SpanEncoder("w").attempt(facts.attempt()))
    assert len(spans(fresh)) == 2


def test_a_view_that_has_changed_is_applied_again_with_all_behind_it_and_no_other(fresh, monkeypatch):
    fresh.migrate()
    one, two, three = views()[2:5]
    changed = replace(two, text=two.text.replace("SELECT", "SELECT 7 AS lucky,", 1))
    monkeypatch.setattr(migrations, "views", lambda: [one, changed, three])
    assert pending(fresh.writer) == [changed.name, three.name]
    assert fresh.migrate() == [changed.name, three.name]
    assert fresh.migrate() == []
    land(fresh, SpanEncoder("w").operation(facts.operation()))
    assert fresh.reader.command("SELECT lucky FROM tollway.operations") == 7


@pytest.mark.parametrize("again", ["after the views changed", "after two restarts"])
def test_a_batch_that_is_landed_again_with_its_token_is_stored_once(start_store, tmp_path, again):
    store = start_store(tmp_path / "data")
    twice = SpanEncoder("w").attempt(facts.attempt())
    if again == "after the views changed":
        sql.migrate(store.writer, now=clock.utc_now(), migrations=available()[:4])
        land(store, twice, "batch")
        store.migrate()
    else:
        store.migrate()
        land(store, twice, "batch")
        for _ in range(2):
            store.stop()
            store = start_store(tmp_path / "data")
    for _ in range(2):
        land(store, twice, "batch")
        assert len(spans(store)) == 1


def test_two_files_of_one_number_are_refused(tmp_path, monkeypatch):
    for name in ("001_a.sql", "001_b.sql"):
        (tmp_path / "schema").mkdir(exist_ok=True)
        (tmp_path / "schema" / name).write_text(f"SELECT '{uuid.uuid4()}';")
    monkeypatch.setattr(migrations, "files", lambda _: tmp_path)
    with pytest.raises(MigrationError, match="same number"):
        available()
