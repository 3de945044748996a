-- How many attempts of each UTC day of a window the facts have, and how many of them were told later. A day without any has
-- no row.
SELECT
    toDate(started_at, 'UTC') AS day,
    count() AS attempts,
    countIf(unfinished AND (trace_id, parent_span_id, upstream) IN (
        SELECT trace_id, parent_span_id, upstream
        FROM tollway.told_later
        WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
          AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY)) AS told_later
FROM tollway.attempts
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
GROUP BY day
ORDER BY day
