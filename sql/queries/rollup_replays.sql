-- How many batches with spans of each UTC day of a window were replaced by others; a day without any has no row.
SELECT day, uniqExact(batch_id) AS replays
FROM tollway.replays
WHERE day >= toDate({since:DateTime64(3, 'UTC')}) AND day <= toDate({until:DateTime64(3, 'UTC')})
GROUP BY day
ORDER BY day
