-- As audit_rollup_facts, where months or the days of all tenants together are not the sum of the days.
WITH
    ['requests', 'told_later', 'attempts', 'refused', 'errors', 'timeouts', 'cancelled', 'lost',
     'input_uncached', 'cache_read', 'cache_write_5m', 'cache_write_1h', 'output', 'reasoning', 'cost_usd',
     'partial_cost_usd', 'cache_saving_usd', 'unmeasured', 'unpriced', 'queue_us'] AS names
SELECT
    at, whose AS tenant,
    arrayFilter((name, one, other) -> one != other, names, wanted, held) AS differing,
    toUInt64(wanted[3])          AS attempts_wanted,
    toUInt64(held[3])            AS attempts_held,
    toDecimal128(wanted[15], 18) AS cost_wanted_usd,
    toDecimal128(held[15], 18)   AS cost_held_usd
FROM
(
    SELECT at, whose, arrayResize(sumForEachIf(sums, side = 'wanted'), 20) AS wanted,
        arrayResize(sumForEachIf(sums, side = 'held'), 20) AS held
    FROM
    (
        SELECT toDateTime64(dateTrunc({grain:String}, c.at, 'UTC'), 3, 'UTC') AS at,
            if({grain:String} = 'day', '', toString(tenant)) AS whose, 'wanted' AS side, sumForEach(
            [toDecimal256(c.requests, 18), toDecimal256(c.told_later, 18), toDecimal256(c.attempts, 18),
             toDecimal256(c.refused, 18), toDecimal256(c.errors, 18), toDecimal256(c.timeouts, 18),
             toDecimal256(c.cancelled, 18), toDecimal256(c.lost, 18), toDecimal256(c.input_uncached, 18),
             toDecimal256(c.cache_read, 18), toDecimal256(c.cache_write_5m, 18), toDecimal256(c.cache_write_1h, 18),
             toDecimal256(c.output, 18), toDecimal256(c.reasoning, 18), toDecimal256(c.cost_usd, 18),
             toDecimal256(c.partial_cost_usd, 18), toDecimal256(c.cache_saving_usd, 18), toDecimal256(c.unmeasured, 18),
             toDecimal256(c.unpriced, 18), toDecimal256(c.queue_us, 18)]) AS sums
        FROM tollway.rollup_days AS c
        WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
        GROUP BY at, whose
        UNION ALL
        SELECT toDateTime64(c.at, 3, 'UTC') AS at, toString(tenant) AS whose, 'held' AS side, sumForEach(
            [toDecimal256(c.requests, 18), toDecimal256(c.told_later, 18), toDecimal256(c.attempts, 18),
             toDecimal256(c.refused, 18), toDecimal256(c.errors, 18), toDecimal256(c.timeouts, 18),
             toDecimal256(c.cancelled, 18), toDecimal256(c.lost, 18), toDecimal256(c.input_uncached, 18),
             toDecimal256(c.cache_read, 18), toDecimal256(c.cache_write_5m, 18), toDecimal256(c.cache_write_1h, 18),
             toDecimal256(c.output, 18), toDecimal256(c.reasoning, 18), toDecimal256(c.cost_usd, 18),
             toDecimal256(c.partial_cost_usd, 18), toDecimal256(c.cache_saving_usd, 18), toDecimal256(c.unmeasured, 18),
             toDecimal256(c.unpriced, 18), toDecimal256(c.queue_us, 18)]) AS sums
        FROM tollway.{cells:Identifier} AS c
        WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
        GROUP BY at, whose
    )
    GROUP BY at, whose
)
WHERE NOT empty(differing)
ORDER BY at, whose
