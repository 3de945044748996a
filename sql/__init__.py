"""The store: numbered schema, named queries, the migration runner and the embedded ClickHouse."""
