-- The books as the collectors told them, by the UTC hour in which their segments were opened, sender and tenant ('' = its
-- spans name theirs): what was received and what became of it, in how many segments, and in how many of these the one is not
-- the sum of the other.
SELECT
    toDateTime64(toStartOfHour(opened), 3, 'UTC') AS hour, sender, whose AS tenant,
    sum(r) AS received, sum(s) AS stored, sum(d) AS duplicate, sum(k) AS parked, sum(p) AS pending,
    count() AS segments, countIf(r != s + d + k + p) AS wrong
FROM
(
    SELECT
        min(at) AS opened, sender, max(tenant) AS whose,
        sum(received) AS r, sum(arraySum(mapValues(stored))) AS s, sum(duplicate) AS d, sum(parked) AS k, sum(pending) AS p
    FROM tollway.ingest_ledger FINAL
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY spool, segment, sender
)
GROUP BY hour, sender, tenant
ORDER BY hour, sender, tenant
