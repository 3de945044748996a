-- As spend_choices, of up to four slices that no rollup answers for, from the facts; bounds as in spend_open.
WITH
    {since:Array(DateTime64(9, 'UTC'))} AS since,
    {until:Array(DateTime64(9, 'UTC'))} AS until,
    {received_since:Array(DateTime64(3, 'UTC'))} AS landed_since,
    {received_until:Array(DateTime64(3, 'UTC'))} AS landed_until
SELECT
    arrayFirstIndex((a, b) -> started_at >= a AND started_at < b, since, until) AS slice,
    groupUniqArray(tenant)   AS tenants,
    groupUniqArray(alias)    AS aliases,
    groupUniqArray(provider) AS providers,
    groupUniqArray(account)  AS accounts
FROM tollway.attempts
WHERE (started_at >= since[1] AND started_at < until[1]
       AND received_at >= landed_since[1] AND received_at < landed_until[1])
   OR (started_at >= since[2] AND started_at < until[2]
       AND received_at >= landed_since[2] AND received_at < landed_until[2])
   OR (started_at >= since[3] AND started_at < until[3]
       AND received_at >= landed_since[3] AND received_at < landed_until[3])
   OR (started_at >= since[4] AND started_at < until[4]
       AND received_at >= landed_since[4] AND received_at < landed_until[4])
GROUP BY slice
