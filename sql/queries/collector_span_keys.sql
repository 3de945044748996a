-- The keys of all spans received since an instant, to rebuild the collector's memory of what it has seen.
SELECT trace_id, span_id
FROM tollway.spans
WHERE received_at >= {since:DateTime64(3, 'UTC')}
