-- The counts of an operation are its own slice of a micro-batch's, or what a cache hit did not spend: never billable.
-- A server span of an application is no request of the gateway's.
CREATE OR REPLACE VIEW tollway.operations {on_cluster} AS
SELECT
    trace_id, span_id, parent_span_id, started_at, ended_at, tenant, claimed_tenant, alias, tier, session,
    if(bitAnd(derived, 6) != 0,
       concat('req_', substring(trace_id, 25), if(bitAnd(derived, 4) = 4, span_id, parent_span_id)), spans.request_id)
        AS request_id,
    outcome, error_type, http_status, attempts, fallback_depth, queue_seconds, first_token_seconds,
    if(spans.duration_seconds = 0, (toUnixTimestamp64Nano(ended_at) - toUnixTimestamp64Nano(started_at)) / 1e9,
       spans.duration_seconds) AS duration_seconds,
    stream, cache_status, user_agent, service, batch_id, received_at, sender, operation, route, tool_format,
    shared_attempt_id, saved_usd, input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
    completeness
FROM tollway.spans AS spans
WHERE kind = 2 AND foreign_role = '';
