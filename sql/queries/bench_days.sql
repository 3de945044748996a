-- How many spans lie in each day's partition, for a bench that goes on where it was cut; a day without any has no row.
SELECT toDate(partition) AS day, sum(rows) AS spans
FROM system.parts
WHERE database = 'tollway' AND table = 'spans' AND active
GROUP BY day
ORDER BY day
