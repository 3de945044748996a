-- Some spans whole, as they are stored.
SELECT *
FROM tollway.spans
LIMIT {rows:UInt32}
