-- What a server says of itself, in one row: the formats it reads, the engine of the database, and how the facts were made; an
-- engine and a making are '' where there is no such thing yet. The second, third and fourth are of a cluster: '' or 0 without.
SELECT
    (SELECT groupArray(name) FROM system.formats WHERE is_input)                                        AS formats,
    (SELECT any(substitution) FROM system.macros WHERE macro = 'shard')                                 AS shard,
    (SELECT any(substitution) FROM system.macros WHERE macro = 'replica')                               AS replica,
    (SELECT uniqExact(shard_num) FROM system.clusters WHERE cluster = {cluster:String})                 AS shards,
    (SELECT any(engine) FROM system.databases WHERE name = {facts:String})                              AS database_engine,
    (SELECT any(engine_full) FROM system.tables WHERE database = {facts:String} AND name = 'spans')     AS spans_engine
