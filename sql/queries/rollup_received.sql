-- On which UTC days the attempts of each of some UTC days were received, first and last, as far as the rollups know. A day
-- without any has no row.
SELECT
    toDate(c.at, 'UTC')   AS day,
    min(c.received_first) AS first,
    max(c.received_last)  AS last
FROM tollway.rollup_totals AS c
WHERE has({days:Array(Date)}, toDate(c.at, 'UTC'))
  AND c.at >= arrayMin({days:Array(Date)}) AND c.at < arrayMax({days:Array(Date)}) + INTERVAL 1 DAY
GROUP BY day
ORDER BY day
