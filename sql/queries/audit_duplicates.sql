-- What landed more than once in a window, by UTC hour: an attempt id or a span key (neither may), or an answer id (two
-- attempts that were measured: a vendor that repeats ids, or a call recorded twice), or a call of an application that two
-- spans of its emitters report (double_emitter; whose they are, tollway.double_emitters says). No rows: nothing did.
SELECT toDateTime64(toStartOfHour(first_at), 3, 'UTC') AS hour, kind, count() AS keys, sum(copies - 1) AS extra
FROM
(
    SELECT min(started_at) AS first_at, 'attempt_id' AS kind, count() AS copies
    FROM tollway.attempts
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
    GROUP BY attempt_id
    HAVING copies > 1
    UNION ALL
    SELECT min(started_at) AS first_at, 'span_key' AS kind, count() AS copies
    FROM tollway.spans
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')} AND spans.kind < 128
    GROUP BY trace_id, span_id
    HAVING copies > 1
    UNION ALL
    SELECT min(started_at) AS first_at, 'response_id' AS kind, uniqExact(attempt_id) AS copies
    FROM tollway.attempts
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
      AND response_id != '' AND completeness = 'measured'
    GROUP BY provider, response_id
    HAVING copies > 1
    UNION ALL
    SELECT min(started_at) AS first_at, 'double_emitter' AS kind, uniqExact(trace_id, span_id) AS copies
    FROM tollway.spans
    WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
      AND foreign_role = 'call' AND spans.kind < 128 AND response_id != ''
    GROUP BY tenant, provider, response_id
    HAVING copies > 1
)
GROUP BY hour, kind
ORDER BY hour, kind
