-- What the cells of a rollup add up to in a window, by hour, day or month and tenant, or of all tenants together ('') where
-- they are pooled. A moment and tenant without a cell has no row.
SELECT
    toDateTime64(dateTrunc({grain:String}, c.at, 'UTC'), 3, 'UTC') AS at,
    if({pooled:Bool}, '', toString(c.tenant)) AS tenant,
    sum(c.requests) AS requests, sum(c.told_later) AS told_later, sum(c.attempts) AS attempts, sum(c.refused) AS refused,
    sum(c.errors) AS errors, sum(c.timeouts) AS timeouts, sum(c.cancelled) AS cancelled, sum(c.lost) AS lost,
    sum(c.input_uncached) AS input_uncached, sum(c.cache_read) AS cache_read, sum(c.cache_write_5m) AS cache_write_5m,
    sum(c.cache_write_1h) AS cache_write_1h, sum(c.output) AS output, sum(c.reasoning) AS reasoning,
    sum(c.cost_usd) AS cost_usd, sum(c.partial_cost_usd) AS partial_cost_usd, sum(c.cache_saving_usd) AS cache_saving_usd,
    sum(c.unmeasured) AS unmeasured, sum(c.unpriced) AS unpriced, sum(c.queue_us) AS queue_us
FROM tollway.{cells:Identifier} AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
GROUP BY at, tenant
ORDER BY at, tenant
