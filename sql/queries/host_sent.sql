-- What hosts sent of the attempts that began in stretches of time (as host_busy has them), by who made them. What an attempt
-- that was lost had been sent is not known: such are counted.
SELECT
    c.host                              AS host,
    s.since                             AS since,
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    count()                             AS attempts,
    countIf(outcome = 'lost')           AS lost,
    sum(c.response_bytes)               AS sent_bytes
FROM
(
    SELECT
        host, tenant, alias, tier, fallback_depth, fallback_reason, outcome, response_bytes,
        toUnixTimestamp64Nano(started_at) AS begun,
        toUInt32(intDiv(begun, 86400000000000)) AS day
    FROM tollway.spans
    WHERE host IN {hosts:Array(String)} AND billable
      AND started_at < fromUnixTimestamp64Nano(arrayMax({untils:Array(Int64)}), 'UTC')
      AND started_at >= fromUnixTimestamp64Nano(arrayMin({sinces:Array(Int64)}), 'UTC')
) AS c
INNER JOIN
(
    SELECT
        stretch.1 AS host, stretch.2 AS since, stretch.3 AS until,
        toUInt32(intDiv(stretch.2, 86400000000000)) AS day
    FROM (SELECT arrayJoin(arrayZip({hosts:Array(String)}, {sinces:Array(Int64)}, {untils:Array(Int64)})) AS stretch)
) AS s ON c.host = s.host AND c.day = s.day
WHERE begun >= s.since AND begun < s.until
GROUP BY host, since, tenant, alias, tier, fallback_depth, fallback_reason
ORDER BY host, since, tenant, alias, tier, fallback_depth, fallback_reason
