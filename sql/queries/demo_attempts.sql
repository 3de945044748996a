-- Every attempt that began in a window, with its tokens and its cost: what the demo's witness compares, one row each.
-- cost_usd is NULL where nothing was measured or no card prices it.
SELECT
    attempt_id, outcome, completeness, fallback_depth, provider, account, model, input_uncached, cache_read, cache_write_5m,
    cache_write_1h, output, reasoning, cost_usd
FROM tollway.rated_attempts
WHERE started_at >= {since:DateTime64(3, 'UTC')} AND started_at < {until:DateTime64(3, 'UTC')}
ORDER BY attempt_id
