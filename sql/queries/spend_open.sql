-- Spend of up to four slices that no rollup answers for, from the facts, by slice (which, from 1) and all that the other
-- spend queries group by, with all that they measure. A slice's facts were received within its own bounds, which choose
-- the partitions that are read. What has no traffic has no row; empty arrays of names mean all.
WITH
    {since:Array(DateTime64(9, 'UTC'))} AS since,
    {until:Array(DateTime64(9, 'UTC'))} AS until,
    {received_since:Array(DateTime64(3, 'UTC'))} AS landed_since,
    {received_until:Array(DateTime64(3, 'UTC'))} AS landed_until
SELECT
    arrayFirstIndex((a, b) -> c.at >= a AND c.at < b, since, until) AS slice,
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
WHERE ((c.at >= since[1] AND c.at < until[1] AND c.received_at >= landed_since[1] AND c.received_at < landed_until[1])
       OR (c.at >= since[2] AND c.at < until[2] AND c.received_at >= landed_since[2] AND c.received_at < landed_until[2])
       OR (c.at >= since[3] AND c.at < until[3] AND c.received_at >= landed_since[3] AND c.received_at < landed_until[3])
       OR (c.at >= since[4] AND c.at < until[4] AND c.received_at >= landed_since[4] AND c.received_at < landed_until[4]))
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
  AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
  AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
  AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
  AND NOT (unfinished AND has((
      SELECT groupArray((trace_id, parent_span_id, upstream))
      FROM tollway.told_later
      WHERE (started_at >= since[1] - INTERVAL 1 DAY AND started_at < until[1] + INTERVAL 1 DAY
             AND received_at >= landed_since[1] AND received_at < landed_until[1])
         OR (started_at >= since[2] - INTERVAL 1 DAY AND started_at < until[2] + INTERVAL 1 DAY
             AND received_at >= landed_since[2] AND received_at < landed_until[2])
         OR (started_at >= since[3] - INTERVAL 1 DAY AND started_at < until[3] + INTERVAL 1 DAY
             AND received_at >= landed_since[3] AND received_at < landed_until[3])
         OR (started_at >= since[4] - INTERVAL 1 DAY AND started_at < until[4] + INTERVAL 1 DAY
             AND received_at >= landed_since[4] AND received_at < landed_until[4])),
      (trace_id, parent_span_id, upstream)))
GROUP BY slice, alias, tenant, fallback_depth, day
