-- How busy hosts were in stretches of time (three arrays side by side: host, first and last nanosecond, each within one
-- UTC day), by who kept them so. Stretches without an attempt have no row.
--   weight   a nanosecond counts {unit} divided by how many attempts ran in it, for each of them; rounded down
--   busy_ns  in which any attempt ran; of the whole stretch, in each of its rows
-- An attempt that was lost ends when its gateway was last known to run, and never later than the day that a tier may allow.
--
-- What an attempt weighs is the growth of one sum, `reached`, from its beginning to its end: of the time that passed between
-- events by how many ran. Arrays, a stretch to a row, since window functions over the same take ten times as long.
SELECT
    host,
    since,
    owner.1     AS tenant,
    owner.2     AS alias,
    owner.3     AS tier,
    owner.4     AS fallback_depth,
    owner.5     AS fallback_reason,
    weight,
    busy_ns
FROM
( -- weighed
SELECT
    host, since, owners,
    arraySum(arrayMap((p, b) -> if(b > 0, p, 0), passed, before)) AS busy_ns,
    -- Back in the order of the attempts: beginnings by owner, then ends by owner.
    arraySort((r, place) -> place,
              arrayCumSum(arrayMap((p, b) -> toDecimal128(p, 0) * toDecimal128(if(b > 0, intDiv({unit:UInt64}, b), 0), 0),
                                   passed, before)),
              places) AS reached,
    arrayMap((end, count) -> (toUInt64(end - count + 1), toUInt64(count)), arrayCumSum(counts), counts) AS ranges,
    arrayMap((ends, begins) -> ends - begins,
             arrayReduceInRanges('sum', arrayMap(r -> (r.1 + attempts, r.2), ranges), reached),
             arrayReduceInRanges('sum', ranges, reached)) AS weights
FROM
( -- walked
SELECT
    host, since, owners, counts, attempts, places,
    arrayMap(place -> if(place <= attempts, 1, -1), places) AS steps,
    arrayMap((level, step) -> level - step, arrayCumSum(steps), steps) AS before,
    -- Of events at the same instant the first has what passed before, so their order is of no matter.
    arrayDifference(arraySort(events)) AS passed
FROM
( -- gathered
SELECT
    host, since,
    groupArray((tenant, alias, tier, fallback_depth, fallback_reason)) AS owners,
    groupArray(length(begun)) AS counts,
    arraySum(counts) AS attempts,
    arrayConcat(arrayFlatten(groupArray(begun)), arrayFlatten(groupArray(ended))) AS events,
    arraySort((place, at) -> at, arrayEnumerate(events), events) AS places
FROM
( -- cut
SELECT
    host, s.since AS since, tenant, alias, tier, fallback_depth, fallback_reason,
    groupArray(greatest(c.begun, s.since)) AS begun,
    groupArray(least(c.ended, s.until)) AS ended
FROM
(
    SELECT
        host, tenant, alias, tier, fallback_depth, fallback_reason,
        toUnixTimestamp64Nano(started_at) AS begun,
        if(outcome = 'lost', least(toUnixTimestamp64Nano(ended_at), begun + 86400000000000),
           toUnixTimestamp64Nano(ended_at)) AS ended,
        arrayJoin(range(toUInt32(intDiv(begun, 86400000000000)), toUInt32(intDiv(ended, 86400000000000)) + 1)) AS day
    FROM tollway.spans
    WHERE host IN {hosts:Array(String)} AND billable AND ended > begun
      AND started_at < fromUnixTimestamp64Nano(arrayMax({untils:Array(Int64)}), 'UTC')
      AND ended_at > fromUnixTimestamp64Nano(arrayMin({sinces:Array(Int64)}), 'UTC')
      -- It lands behind its beginning, but for what two clocks differ: that spares the partitions of the days before.
      AND received_at >= fromUnixTimestamp64Nano(arrayMin({sinces:Array(Int64)}), 'UTC') - INTERVAL 2 DAY
) AS c
INNER JOIN
(
    SELECT
        stretch.1 AS host, stretch.2 AS since, stretch.3 AS until, toUInt32(intDiv(stretch.2, 86400000000000)) AS day
    FROM (SELECT arrayJoin(arrayZip({hosts:Array(String)}, {sinces:Array(Int64)}, {untils:Array(Int64)})) AS stretch)
) AS s ON c.host = s.host AND c.day = s.day
WHERE c.begun < s.until AND c.ended > s.since
GROUP BY host, since, tenant, alias, tier, fallback_depth, fallback_reason
) AS cut
GROUP BY host, since
) AS gathered
) AS walked
) AS weighed
ARRAY JOIN owners AS owner, weights AS weight
ORDER BY host, since, tenant, alias, tier, fallback_depth, fallback_reason
