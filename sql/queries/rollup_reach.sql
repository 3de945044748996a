-- From where and up to where each rollup reaches: how many cells it has, and the starts of its first and its last hour, day or
-- month; those mean nothing where it has none. A row a rollup.
SELECT 'hours' AS rollup, count() AS cells, toDateTime64(min(at), 3, 'UTC') AS first, toDateTime64(max(at), 3, 'UTC') AS last
FROM tollway.rollup_hours
UNION ALL
SELECT 'days', count(), toDateTime64(min(at), 3, 'UTC'), toDateTime64(max(at), 3, 'UTC')
FROM tollway.rollup_days
UNION ALL
SELECT 'totals', count(), toDateTime64(min(at), 3, 'UTC'), toDateTime64(max(at), 3, 'UTC')
FROM tollway.rollup_totals
UNION ALL
SELECT 'months', count(), toDateTime64(min(at), 3, 'UTC'), toDateTime64(max(at), 3, 'UTC')
FROM tollway.rollup_months
