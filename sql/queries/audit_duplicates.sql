-- What landed more than once in a window, by UTC hour: an attempt id or a span key (neither may), or an answer's id (two
-- attempts with one answer: a vendor that repeats ids, or a call recorded twice). No rows: nothing did.
SELECT hour, kind, count() AS keys, sum(copies - 1) AS extra
FROM
(
    SELECT toStartOfHour(min(started_at)) AS hour, 'attempt_id' AS kind, count() AS copies
    FROM tollway.spans AS landed
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
      AND attempt_id != '' AND landed.kind = 3
    GROUP BY attempt_id
    HAVING copies > 1
    UNION ALL
    SELECT toStartOfHour(min(started_at)) AS hour, 'span_key' AS kind, count() AS copies
    FROM tollway.spans
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
    GROUP BY trace_id, span_id
    HAVING copies > 1
    UNION ALL
    SELECT toStartOfHour(min(started_at)) AS hour, 'response_id' AS kind, uniqExact(attempt_id) AS copies
    FROM tollway.attempts
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')} AND response_id != ''
    GROUP BY provider, response_id
    HAVING copies > 1
)
GROUP BY hour, kind
ORDER BY hour, kind
