-- The hosts that attempts of a window ran on, and how many.
SELECT host, count() AS attempts
FROM tollway.spans
WHERE host != '' AND billable
  AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
GROUP BY host
ORDER BY host
