-- How many attempts the rollups hold of each UTC day of a window, and the mark of the cards that rated them; 0 and 0 for
-- nothing. A day of which no rollup has anything has no row.
SELECT
    day,
    sumIf(n, held = 'hours')    AS hours,
    sumIf(n, held = 'days')     AS days,
    sumIf(n, held = 'totals')   AS totals,
    maxIf(mark, held = 'hours')  AS hours_rated_by,
    maxIf(mark, held = 'days')   AS days_rated_by,
    maxIf(mark, held = 'totals') AS totals_rated_by
FROM
(
    SELECT toDate(at) AS day, 'hours' AS held, sum(attempts + refused) AS n, any(rated_by) AS mark
    FROM tollway.rollup_hours
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY day
    UNION ALL
    SELECT toDate(at) AS day, 'days' AS held, sum(attempts + refused) AS n, any(rated_by) AS mark
    FROM tollway.rollup_days
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY day
    UNION ALL
    SELECT toDate(at) AS day, 'totals' AS held, sum(attempts + refused) AS n, any(rated_by) AS mark
    FROM tollway.rollup_totals
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY day
)
GROUP BY day
ORDER BY day
