-- How many attempts the rollup of each month holds, and the mark of its days. A month that was not built has no row.
SELECT toDate(at) AS month, sum(attempts + refused) AS attempts, any(rated_by) AS rated_by
FROM tollway.rollup_months
GROUP BY month
ORDER BY month
