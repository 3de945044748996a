-- Requests and their queueing by who caused them; every attempt counts, the refused ones too. A request whose attempts
-- fall into several rows is counted in each; its queue seconds with its first attempt only, and as decimals, so that
-- the sum is the same on every run.
SELECT
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    uniqExact(trace_id, parent_span_id) AS requests,
    count()                             AS attempts,
    sumIf(ifNull(accurateCastOrNull(round(queue_seconds, 6), 'Decimal64(6)'), 0), attempt_index = 0) AS queue_seconds
FROM tollway.attempts
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
GROUP BY tenant, alias, tier, fallback_depth, fallback_reason
ORDER BY tenant, alias, tier, fallback_depth, fallback_reason
