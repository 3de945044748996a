-- Spend of a slice that no rollup answers for, from the facts, by all that the other spend queries group by and with all
-- that they measure. What has no traffic has no row; empty arrays mean all.
SELECT
    alias,
    tenant,
    fallback_depth,
    toDate(c.at, 'UTC')     AS day,
    sum(c.requests)         AS requests,
    sum(c.attempts)         AS attempts,
    sum(c.input_uncached)   AS input_uncached,
    sum(c.cache_read)       AS cache_read,
    sum(c.cache_write_5m)   AS cache_write_5m,
    sum(c.cache_write_1h)   AS cache_write_1h,
    sum(c.output)           AS output,
    sum(c.reasoning)        AS reasoning,
    sum(c.cost_usd)         AS cost_usd,
    sum(c.partial_cost_usd) AS partial_cost_usd,
    sum(c.unmeasured)       AS unmeasured,
    sum(c.unpriced)         AS unpriced,
    sum(if(fallback_depth > 0, c.cost_usd, toDecimal128(0, 18))) AS fallback_cost_usd,
    sum(c.cache_saving_usd) AS cache_saving_usd,
    sum(c.cancelled)        AS cancelled
FROM tollway.rollup_facts AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
  AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
  AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
  AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
  AND NOT (unfinished AND (trace_id, parent_span_id, upstream) IN (
      SELECT trace_id, parent_span_id, upstream
      FROM tollway.told_later
      WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY))
GROUP BY alias, tenant, fallback_depth, day
