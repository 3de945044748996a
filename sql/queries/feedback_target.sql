-- A tenant's latest request of that id, or the one that was answered under that response id; the other id is ''. None has no
-- row.
SELECT trace_id, span_id, alias, tier, request_id
FROM
(
    SELECT trace_id, span_id, alias, tier, request_id, started_at
    FROM tollway.operations
    WHERE tenant = {tenant:String} AND {request_id:String} != '' AND request_id = {request_id:String}
    UNION ALL
    SELECT trace_id, parent_span_id AS span_id, alias, tier, request_id, started_at
    FROM tollway.attempts
    WHERE tenant = {tenant:String} AND {response_id:String} != '' AND response_id = {response_id:String} AND outcome = 'ok'
)
ORDER BY started_at DESC, span_id
LIMIT 1
