-- How many attempts that ended well took how long in a slice, by alias, UTC day or all together ({by:String}): a row per
-- key, measure and bucket that is not empty. Bucket 0 is below 1 ms, bucket i from 2^((i-1)/8) ms. Empty arrays mean all.
SELECT
    key,
    taken.1 AS measure,
    bucket - 1 AS bucket,
    attempts
FROM
(
    SELECT
        multiIf({by:String} = 'alias', toString(alias), {by:String} = 'day', toString(toDate(c.at, 'UTC')), '') AS key,
        sumForEach(c.duration_hist)    AS durations,
        sumForEach(c.first_token_hist) AS first_tokens
    FROM tollway.{cells:Identifier} AS c
    WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
      AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
      AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
      AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
      AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
    GROUP BY key
)
ARRAY JOIN [('duration', durations), ('first_token', first_tokens)] AS taken
ARRAY JOIN taken.2 AS attempts, arrayEnumerate(taken.2) AS bucket
WHERE attempts > 0
