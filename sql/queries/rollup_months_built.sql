-- How many attempts the rollup of each month holds, those told later among them, and the mark of its days. A month that was
-- not built has no row.
SELECT toDate(at) AS month, sum(attempts + refused + c.told_later) AS attempts, sum(c.told_later) AS told_later,
    any(rated_by) AS rated_by
FROM tollway.rollup_months AS c
GROUP BY month
ORDER BY month
