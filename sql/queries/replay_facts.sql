-- The database that has the rows which were landed on this server: over a cluster its shard's own, else the one of all.
SELECT if(count() > 0, 'tollway_shard', 'tollway') AS facts
FROM system.tables
WHERE database = 'tollway_shard' AND name = 'spans'
