"""A server that joins a cluster gets what the others have by now."""

import pytest

from sql.joining import join

pytestmark = pytest.mark.slow
MADE = "SELECT database, name, create_table_query FROM system.tables WHERE database = 'tollway' AND name != 'warm_up'"


def test_a_server_that_joins_has_the_tables_columns_and_views_of_the_others_and_once_only(store, start_store):
    fresh = start_store()
    made = join(fresh.writer, like=store.writer)
    assert {"tollway.spans", "tollway.landing_to_spans", "tollway.rated_attempts"} <= set(made)
    assert sorted(fresh.writer.query(MADE).result_rows) == sorted(store.writer.query(MADE).result_rows)
    assert join(fresh.writer, like=store.writer) == []


def test_a_server_that_lacks_one_view_gets_that_one(store, start_store):
    fresh = start_store()
    join(fresh.writer, like=store.writer)
    fresh.writer.command("DROP VIEW tollway.rated_attempts SYNC")
    assert join(fresh.writer, like=store.writer) == ["tollway.rated_attempts"]
