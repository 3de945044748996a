-- How busy hosts were in stretches of time (three arrays side by side: host, first and last nanosecond, each within one
-- UTC day), by who kept them so. Stretches without an attempt have no row.
--   weight       a nanosecond counts {unit} divided by how many attempts ran in it, for each of them; rounded down
--   union_ns     sums over a stretch to the time in which any attempt ran
--   attempt_ns   the attempts' own time, overlaps counted as often as they are
-- An attempt that was lost ends when its gateway was last known to run, and never later than the day that a tier may allow.
-- Steps are read from the inside out: attempts cut at the stretches, their beginnings and ends in order, what had passed.
SELECT
    host,
    since,
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    toDecimal128(sum(-step * reached), 0)           AS weight,
    sum(if(before > 0, passed, 0))                  AS union_ns,
    sum(-step * at)                                 AS attempt_ns
FROM
(
    SELECT
        *,
        -- Peers share what had passed when they came, so their order is of no matter.
        sum(passed * if(before > 0, intDiv(toInt128({unit:UInt64}), before), 0))
            OVER (PARTITION BY host, since ORDER BY at) AS reached
    FROM
    (
        SELECT
            *,
            sum(step) OVER walk - step              AS before,
            at - lagInFrame(at, 1, at) OVER walk    AS passed
        FROM
        (
            SELECT
                c.host AS host, s.since AS since, tenant, alias, tier, fallback_depth, fallback_reason,
                arrayJoin([(greatest(begun, s.since), toInt64(1)), (least(ended, s.until), toInt64(-1))]) AS event,
                event.1 AS at,
                event.2 AS step
            FROM
            (
                SELECT
                    host, tenant, alias, tier, fallback_depth, fallback_reason,
                    toUnixTimestamp64Nano(started_at) AS begun,
                    if(outcome = 'lost', least(toUnixTimestamp64Nano(ended_at), begun + 86400000000000),
                       toUnixTimestamp64Nano(ended_at)) AS ended,
                    arrayJoin(range(toUInt32(intDiv(begun, 86400000000000)),
                                    toUInt32(intDiv(ended, 86400000000000)) + 1)) AS day
                FROM tollway.attempts
                WHERE host IN {hosts:Array(String)} AND billable AND ended > begun
                  AND started_at < fromUnixTimestamp64Nano(arrayMax({untils:Array(Int64)}), 'UTC')
                  AND ended_at > fromUnixTimestamp64Nano(arrayMin({sinces:Array(Int64)}), 'UTC')
            ) AS c
            INNER JOIN
            (
                SELECT
                    stretch.1 AS host, stretch.2 AS since, stretch.3 AS until,
                    toUInt32(intDiv(stretch.2, 86400000000000)) AS day
                FROM (SELECT arrayJoin(arrayZip({hosts:Array(String)}, {sinces:Array(Int64)}, {untils:Array(Int64)})) AS stretch)
            ) AS s ON c.host = s.host AND c.day = s.day
            WHERE begun < s.until AND ended > s.since
        )
        WINDOW walk AS (PARTITION BY host, since ORDER BY at ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
    )
)
GROUP BY host, since, tenant, alias, tier, fallback_depth, fallback_reason
ORDER BY host, since, tenant, alias, tier, fallback_depth, fallback_reason
