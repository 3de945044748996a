-- How many merges of the spans are under way.
SELECT count() AS merges
FROM system.merges
WHERE database = 'tollway' AND table = 'spans'
