-- What the facts of a window add up to by hour, day or month and tenant, with the names of audit_sums_cells. An attempt counts
-- unless a later look at its response stands for it (told_later). A moment and tenant without an attempt has no row.
WITH NOT (unfinished AND (trace_id, parent_span_id, upstream) IN (
    SELECT trace_id, parent_span_id, upstream
    FROM tollway.told_later
    WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
      AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY)) AS counts
SELECT
    toDateTime64(dateTrunc({grain:String}, c.at, 'UTC'), 3, 'UTC') AS at, toString(c.tenant) AS tenant,
    sumIf(c.requests, counts) AS requests, countIf(NOT counts) AS told_later, sumIf(c.attempts, counts) AS attempts,
    sumIf(c.refused, counts) AS refused, sumIf(c.errors, counts) AS errors, sumIf(c.timeouts, counts) AS timeouts,
    sumIf(c.cancelled, counts) AS cancelled, sumIf(c.lost, counts) AS lost,
    sumIf(c.input_uncached, counts) AS input_uncached, sumIf(c.cache_read, counts) AS cache_read,
    sumIf(c.cache_write_5m, counts) AS cache_write_5m, sumIf(c.cache_write_1h, counts) AS cache_write_1h,
    sumIf(c.output, counts) AS output, sumIf(c.reasoning, counts) AS reasoning, sumIf(c.cost_usd, counts) AS cost_usd,
    sumIf(c.partial_cost_usd, counts) AS partial_cost_usd, sumIf(c.cache_saving_usd, counts) AS cache_saving_usd,
    sumIf(c.unmeasured, counts) AS unmeasured, sumIf(c.unpriced, counts) AS unpriced, sumIf(c.queue_us, counts) AS queue_us
FROM tollway.rollup_facts AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
GROUP BY at, tenant
ORDER BY at, tenant
