-- What tables say of when their rows go: the days of each expression, in order; none = never. A table that is not there has no
-- row.
SELECT
    database, name AS table,
    arrayMap(days -> toUInt64(days), extractAll(extract(engine_full, '\\bTTL (.*?)(?: SETTINGS|$)'),
        'toIntervalDay\\((?:_CAST\\()?(\\d+)')) AS days
FROM system.tables
WHERE database IN ('tollway', 'tollway_shard') AND engine LIKE '%MergeTree'
ORDER BY database, table
