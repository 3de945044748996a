-- The five columns of the spans that take most of the disk.
SELECT column, sum(column_data_compressed_bytes) AS bytes
FROM system.parts_columns
WHERE database = 'tollway' AND table = 'spans' AND active
GROUP BY column
ORDER BY bytes DESC
LIMIT 5
