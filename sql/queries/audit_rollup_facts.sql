-- Where a rollup of a window is not what the facts say, by hour or day and tenant: which sums differ, and the attempts and
-- the cost that the facts give (wanted) and that the rollup has (held). No rows: it is what they say.
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
        WITH NOT (unfinished AND (trace_id, parent_span_id, upstream) IN (
            SELECT trace_id, parent_span_id, upstream
            FROM tollway.told_later
            WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
              AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY)) AS counts
        SELECT toDateTime64(dateTrunc({grain:String}, c.at, 'UTC'), 3, 'UTC') AS at, toString(tenant) AS whose,
            'wanted' AS side, sumForEach(
            [toDecimal256(c.requests * counts, 18), toDecimal256(NOT counts, 18),
             toDecimal256(c.attempts * counts, 18), toDecimal256(c.refused * counts, 18),
             toDecimal256(c.errors * counts, 18), toDecimal256(c.timeouts * counts, 18),
             toDecimal256(c.cancelled * counts, 18), toDecimal256(c.lost * counts, 18),
             toDecimal256(c.input_uncached * counts, 18), toDecimal256(c.cache_read * counts, 18),
             toDecimal256(c.cache_write_5m * counts, 18), toDecimal256(c.cache_write_1h * counts, 18),
             toDecimal256(c.output * counts, 18), toDecimal256(c.reasoning * counts, 18),
             toDecimal256(c.cost_usd * counts, 18), toDecimal256(c.partial_cost_usd * counts, 18),
             toDecimal256(c.cache_saving_usd * counts, 18), toDecimal256(c.unmeasured * counts, 18),
             toDecimal256(c.unpriced * counts, 18), toDecimal256(c.queue_us * counts, 18)]) AS sums
        FROM tollway.rollup_facts AS c
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
