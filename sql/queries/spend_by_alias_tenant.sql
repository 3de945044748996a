-- Spend by alias and tenant, from the cells of a slice. Empty arrays mean all; a pair without traffic has no row.
SELECT
    alias,
    tenant,
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
    sum(c.unpriced)         AS unpriced
FROM tollway.{cells:Identifier} AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
  AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
  AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
  AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
GROUP BY alias, tenant
HAVING sum(c.attempts + c.refused) > 0  -- Else all of it was told later.
