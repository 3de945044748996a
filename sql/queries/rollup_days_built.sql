-- What the rollups hold of each UTC day of a window: attempts, those told later among them, and the mark of the cards that
-- rated them; all 0 for nothing. A day of which no rollup has anything has no row.
SELECT
    day,
    sumIf(n, held = 'hours')     AS hours,
    sumIf(later, held = 'hours') AS hours_told_later,
    maxIf(mark, held = 'hours')  AS hours_rated_by,
    sumIf(n, held = 'days')      AS days,
    sumIf(later, held = 'days')  AS days_told_later,
    maxIf(mark, held = 'days')   AS days_rated_by,
    sumIf(n, held = 'totals')    AS totals,
    sumIf(later, held = 'totals') AS totals_told_later,
    maxIf(mark, held = 'totals') AS totals_rated_by
FROM
(
    SELECT toDate(at) AS day, 'hours' AS held, sum(attempts + refused + told_later) AS n, sum(c.told_later) AS later,
        any(rated_by) AS mark
    FROM tollway.rollup_hours AS c
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY day
    UNION ALL
    SELECT toDate(at) AS day, 'days' AS held, sum(attempts + refused + told_later) AS n, sum(c.told_later) AS later,
        any(rated_by) AS mark
    FROM tollway.rollup_days AS c
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY day
    UNION ALL
    SELECT toDate(at) AS day, 'totals' AS held, sum(attempts + refused + told_later) AS n, sum(c.told_later) AS later,
        any(rated_by) AS mark
    FROM tollway.rollup_totals AS c
    WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
    GROUP BY day
)
GROUP BY day
ORDER BY day
