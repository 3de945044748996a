-- Calls of models as applications report them, and which of them are calls beside the gateway that a vendor may bill: none
-- that the gateway made itself (its attempt wins, by the answer's id or by the trace), and one of those that two emitters
-- report. By id within a tenant: what an application calls its provider behind a gateway is a guess.
CREATE OR REPLACE VIEW tollway.foreign_calls {on_cluster} AS
SELECT
    c.*,
    multiIf(
        response_id != '' AND (tenant, response_id) IN (
            SELECT tenant, response_id FROM tollway.spans WHERE kind = 3 AND batch_size > 0 AND response_id != ''),
        'gateway',
        (tenant, trace_id, span_id) IN (
            SELECT tenant, trace_id, parent_span_id FROM tollway.operations WHERE parent_span_id != ''),
        'gateway',
        response_id != '' AND copy > 1, 'emitter',
        '') AS superseded_by,
    superseded_by = '' AND NOT (outcome = 'error' AND completeness = 'unknown') AS billable
FROM
(
    SELECT
        trace_id, span_id, parent_span_id, name, started_at, ended_at, tenant, claimed_tenant, service, sender, session,
        end_user, request_id, provider, operation, model, response_model, upstream_model, response_id, outcome, error_type,
        http_status, input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning, completeness,
        usage_invalid, usage_raw, emitter_cost_usd, stream, first_token_seconds,
        if(spans.duration_seconds = 0, (toUnixTimestamp64Nano(ended_at) - toUnixTimestamp64Nano(started_at)) / 1e9,
           spans.duration_seconds) AS duration_seconds, finish_reason,
        service_tier, batch_id, received_at,
        -- The fullest report first; the last two only so that the order is one.
        row_number() OVER (PARTITION BY tenant, provider, response_id
                           ORDER BY completeness = 'measured' DESC, started_at, trace_id, span_id) AS copy
    FROM tollway.spans AS spans
    WHERE foreign_role = 'call' AND kind < 128
) AS c;
