-- Metered usage and cost of whole UTC days by account, model, region and the card that rated it, from the rollup of all
-- tenants together; `unpriced` attempts are among the tokens and not in the cost. Days without attempts have no row.
SELECT
    provider,
    account,
    model,
    toDate(at)                AS day,
    region,
    card_id,
    sum(c.attempts)           AS attempts,
    sum(c.unpriced)           AS unpriced,
    sum(c.input_uncached)     AS input_uncached,
    sum(c.cache_read)         AS cache_read,
    sum(c.cache_write_5m)     AS cache_write_5m,
    sum(c.cache_write_1h)     AS cache_write_1h,
    sum(c.output)             AS output,
    sum(c.reasoning)          AS reasoning,
    sum(c.cost_usd)           AS cost_usd
FROM tollway.rollup_totals AS c
WHERE at >= {since:DateTime64(9, 'UTC')} AND at < {until:DateTime64(9, 'UTC')}
GROUP BY provider, account, model, day, region, card_id
HAVING attempts > 0
ORDER BY provider, account, model, day, region, card_id
