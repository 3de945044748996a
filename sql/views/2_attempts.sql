-- Calls of an upstream made by the gateway: each is a thing a vendor may bill, but for the refused ones. Ids that are not
-- stored, being made of others, are made here; their indexes are on these very expressions.
CREATE OR REPLACE VIEW tollway.attempts {on_cluster} AS
SELECT
    if(bitAnd(derived, 1) = 1, concat(substring(trace_id, 1, 16), span_id), spans.attempt_id) AS attempt_id,
    trace_id, span_id, parent_span_id, started_at, ended_at, tenant, claimed_tenant, alias, tier, session,
    if(bitAnd(derived, 6) != 0,
       concat('req_', substring(trace_id, 25), if(bitAnd(derived, 4) = 4, span_id, parent_span_id)), spans.request_id)
        AS request_id,
    upstream, provider, account, region, quantization, pattern, model, response_model, response_id,
    attempt_index, outcome, fallback_depth, fallback_reason, estimated_cost_usd, input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output, reasoning, completeness, usage_invalid, usage_raw, rate_card, cache_status,
    queue_seconds, first_token_seconds,
    if(spans.duration_seconds = 0, (toUnixTimestamp64Nano(ended_at) - toUnixTimestamp64Nano(started_at)) / 1e9,
       spans.duration_seconds) AS duration_seconds,
    stream, finish_reason, error_type, http_status, server_address,
    server_port, request_bytes, max_output_tokens, billable, batch_id, received_at, sender, operation, route, tool_format,
    batch_window_ms, batch_size, service_tier, deployment, modality, memory_pressure, host, response_bytes, answer_fault,
    request_content, response_content,
    -- Whose end is not known: it counts unless tollway.told_later has it.
    finish_reason IN ('queued', 'in_progress') OR outcome = 'lost' AS unfinished,
    -- Of what ended well, the bucket of latency that it is in (008_rollups.sql has their bounds); else NULL.
    if(outcome = 'ok' AND NOT unfinished,
       toUInt8(floor(greatest(0, least(160, 8 * log2(greatest(duration_seconds, 0.0001) * 1000) + 1)))),
       NULL) AS duration_bucket,
    if(outcome = 'ok' AND NOT unfinished AND first_token_seconds IS NOT NULL,
       toUInt8(floor(greatest(0, least(160, 8 * log2(greatest(assumeNotNull(first_token_seconds), 0.0001) * 1000) + 1)))),
       NULL) AS first_token_bucket
FROM tollway.spans AS spans
WHERE kind = 3 AND batch_size > 0;  -- Other spans carry no requests.
