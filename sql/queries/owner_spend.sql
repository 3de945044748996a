-- Metered cost and time in line by who caused them, from the cells of a slice. Owners without traffic have no row.
SELECT
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    sum(c.cost_usd)                                 AS token_cost,
    toDecimal128(sum(c.queue_us), 6) / 1000000      AS queue_seconds,
    sum(c.unpriced)                                 AS unpriced
FROM tollway.{cells:Identifier} AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
GROUP BY tenant, alias, tier, fallback_depth, fallback_reason
HAVING sum(c.attempts + c.refused) > 0  -- Else all of it was told later.
ORDER BY tenant, alias, tier, fallback_depth, fallback_reason
