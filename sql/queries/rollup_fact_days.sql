-- How many attempts of each UTC day of a window the facts have. A day without any has no row.
SELECT toDate(started_at, 'UTC') AS day, count() AS attempts
FROM tollway.attempts
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
GROUP BY day
ORDER BY day
