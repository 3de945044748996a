-- What one tenant's attempts cost together, in one row; attempts without a price are counted apart, and are not in the sum.
SELECT sum(cost_usd) AS usd, countIf(cost_usd IS NULL) AS unpriced
FROM tollway.rated_attempts
WHERE tenant = {tenant:String}
