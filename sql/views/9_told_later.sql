-- Looks at a response that was left to run or whose stream was cut: what the vendor told then is what it bills, and the
-- attempt that began it, of the same parent and upstream, does not count. A look sent no request, by which it is known.
CREATE OR REPLACE VIEW tollway.told_later {on_cluster} AS
SELECT trace_id, parent_span_id, upstream, started_at, received_at
FROM tollway.attempts
WHERE route = '/v1/responses' AND request_bytes = 0 AND completeness = 'measured';
