-- How each table and view of Tollway's was made on a server, those that others stand on first; no rows: it has none.
SELECT database, name, create_table_query AS making
FROM system.tables
WHERE database IN ('tollway', 'tollway_shard')
ORDER BY multiIf(engine = 'View', 4, engine = 'MaterializedView', 3, engine = 'Distributed', 2, 1),
         metadata_modification_time, database, name
