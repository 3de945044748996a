-- As latency_buckets, of up to four slices that no rollup answers for, from the facts; bounds as in spend_open.
WITH
    {since:Array(DateTime64(9, 'UTC'))} AS since,
    {until:Array(DateTime64(9, 'UTC'))} AS until,
    {received_since:Array(DateTime64(3, 'UTC'))} AS landed_since,
    {received_until:Array(DateTime64(3, 'UTC'))} AS landed_until
SELECT
    arrayFirstIndex((a, b) -> started_at >= a AND started_at < b, since, until) AS slice,
    multiIf({by:String} = 'alias', toString(alias), {by:String} = 'day', toString(toDate(started_at, 'UTC')), '') AS key,
    taken.1 AS measure,
    toInt64(assumeNotNull(taken.2)) AS bucket,
    count() AS attempts
FROM tollway.attempts
ARRAY JOIN [('duration', duration_bucket), ('first_token', first_token_bucket)] AS taken
WHERE taken.2 IS NOT NULL
  AND ((started_at >= since[1] AND started_at < until[1]
            AND received_at >= landed_since[1] AND received_at < landed_until[1])
       OR (started_at >= since[2] AND started_at < until[2]
            AND received_at >= landed_since[2] AND received_at < landed_until[2])
       OR (started_at >= since[3] AND started_at < until[3]
            AND received_at >= landed_since[3] AND received_at < landed_until[3])
       OR (started_at >= since[4] AND started_at < until[4]
            AND received_at >= landed_since[4] AND received_at < landed_until[4]))
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
  AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
  AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
  AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
GROUP BY slice, key, measure, bucket
