-- The gateway's own spans as rows: what 1_landing_to_spans.sql makes of them, without what it costs to guess, of which
-- nearly all that lands is spared. A gateway writes each meaning by one name and in one type, so nothing is guessed here: no other spelling,
-- no JSON, no number in a text. What only other emitters send is left at its default. Both views give the same row for the
-- same span of a gateway; a test lands everything that a gateway can write through both.
--
-- It is dropped and made again, and planned anew for each insert, like the other: there it is told why, and how that forms it.
DROP VIEW IF EXISTS tollway.gateway_to_spans {on_cluster} SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS tollway.gateway_to_spans {on_cluster} TO tollway.spans AS
WITH
    -- A name's place in this list is its number below, so new ones come last; what is not in it has none.
    [
        'tollway.attempt.id', 'tollway.tenant', 'tollway.alias', 'tollway.tier', 'tollway.session',                      -- 1
        'tollway.request.id', 'tollway.upstream', 'gen_ai.provider.name', 'tollway.account', 'tollway.region',           -- 6
        'tollway.quantization', 'tollway.pattern', 'gen_ai.operation.name', 'gen_ai.request.model',                      -- 11
        'gen_ai.response.model', 'gen_ai.response.id', 'tollway.attempt.outcome', 'tollway.operation.outcome',           -- 15
        'tollway.fallback.reason', 'tollway.fallback.estimated_cost_usd', 'tollway.usage.completeness',                  -- 19
        'tollway.usage.raw', 'tollway.rate_card', 'tollway.cache.status', 'gen_ai.response.finish_reasons',              -- 22
        'error.type', 'server.address', 'user_agent.original', 'tollway.route', 'tollway.tool_format',                   -- 26
        'tollway.batch.attempt_id', 'tollway.cache.saved_usd', 'openai.response.service_tier',                           -- 31
        'tollway.memory.pressure', 'gen_ai.input.messages', 'gen_ai.output.messages', 'tollway.transition.scope',        -- 34
        'tollway.breaker.from', 'tollway.breaker.to', 'tollway.breaker.cause',                                           -- 38
        'tollway.attempt.index', 'tollway.attempts', 'tollway.fallback.depth', 'gen_ai.request.stream',                  -- 41
        'gen_ai.usage.input_tokens', 'gen_ai.usage.output_tokens', 'gen_ai.usage.cache_read.input_tokens',               -- 45
        'gen_ai.usage.cache_write.input_tokens', 'tollway.usage.cache_write_1h',                                         -- 48
        'gen_ai.usage.reasoning.output_tokens', 'http.response.status_code', 'server.port', 'tollway.request.bytes',      -- 50
        'gen_ai.request.max_tokens', 'tollway.batch.window_ms', 'tollway.batch.size', 'tollway.transition.failures',     -- 54
        'tollway.queue.seconds', 'gen_ai.response.time_to_first_chunk', 'tollway.transition.open_seconds',               -- 58
        'tollway.host', 'tollway.response.bytes', 'tollway.deployment', 'tollway.usage.modality',                        -- 61
        'tollway.answer.fault', 'tollway.feedback.verdict', 'tollway.feedback.reason', 'tollway.feedback.score'          -- 65
    ] AS names,
    1000000000000 AS count_max  -- no attempt has more tokens; a larger count is a fault, and money times it could overflow
SELECT
    if(has_told_id, '', own_id) AS attempt_id,
    trace AS trace_id,
    own_span AS span_id,
    parent_span AS parent_span_id,
    span.name AS name,
    toUInt8(span.kind + if(position(batch_id, '~') > 0, 128, 0)) AS kind,  -- Hidden: it is to take another's place.
    fromUnixTimestamp64Nano(toInt64(span.start_time_unix_nano), 'UTC') AS started_at,
    fromUnixTimestamp64Nano(toInt64(greatest(span.end_time_unix_nano, span.start_time_unix_nano)), 'UTC') AS ended_at,
    claimed_tenant,
    claimed_tenant AS tenant,
    texts[indexOf(codes, 3)] AS alias,
    texts[indexOf(codes, 4)] AS tier,
    texts[indexOf(codes, 5)] AS session,
    if(has_told_request, '', said_request) AS request_id,
    texts[indexOf(codes, 7)] AS upstream,
    texts[indexOf(codes, 8)] AS provider,
    texts[indexOf(codes, 9)] AS account,
    texts[indexOf(codes, 10)] AS region,
    texts[indexOf(codes, 11)] AS quantization,
    texts[indexOf(codes, 12)] AS pattern,
    texts[indexOf(codes, 13)] AS operation,
    texts[indexOf(codes, 14)] AS model,
    texts[indexOf(codes, 15)] AS response_model,
    texts[indexOf(codes, 16)] AS response_id,
    toUInt16(counts[indexOf(codes, 41)]) AS attempt_index,
    toUInt16(counts[indexOf(codes, 42)]) AS attempts,
    ended AS outcome,
    toUInt8(counts[indexOf(codes, 43)]) AS fallback_depth,
    texts[indexOf(codes, 19)] AS fallback_reason,
    toDecimal128OrNull(texts[indexOf(codes, 20)], 18) AS estimated_cost_usd,
    if(given, input - cached - written, 0) AS input_uncached,
    if(given, cached, 0) AS cache_read,
    if(given, written - written_1h, 0) AS cache_write_5m,
    if(given, written_1h, 0) AS cache_write_1h,
    if(given, generated - thought, 0) AS output,
    if(given, thought, 0) AS reasoning,
    known AS completeness,
    contradictory AS usage_invalid,
    texts[indexOf(codes, 22)] AS usage_raw,
    texts[indexOf(codes, 23)] AS rate_card,
    texts[indexOf(codes, 24)] AS cache_status,
    doubles[indexOf(codes, 58)] AS queue_seconds,
    if(has(codes, 59), doubles[indexOf(codes, 59)], NULL) AS first_token_seconds,
    has(codes, 44) AS stream,  -- written where it holds
    lists[indexOf(codes, 25)][1] AS finish_reason,
    texts[indexOf(codes, 26)] AS error_type,
    toUInt16(counts[indexOf(codes, 51)]) AS http_status,
    texts[indexOf(codes, 27)] AS server_address,
    toUInt16(counts[indexOf(codes, 52)]) AS server_port,
    texts[indexOf(codes, 28)] AS user_agent,
    toUInt64(counts[indexOf(codes, 53)]) AS request_bytes,
    toUInt64(counts[indexOf(codes, 54)]) AS max_output_tokens,
    span.kind = 3 AND own_id != '' AND ended != 'refused' AS billable,
    service,
    batch_id,
    fromUnixTimestamp64Milli(received_at_ms, 'UTC') AS received_at,
    sender,
    texts[indexOf(codes, 29)] AS route,
    texts[indexOf(codes, 30)] AS tool_format,
    toUInt32(counts[indexOf(codes, 55)]) AS batch_window_ms,
    if(own_id = '', 0, greatest(toUInt32(counts[indexOf(codes, 56)]), 1)) AS batch_size,
    texts[indexOf(codes, 31)] AS shared_attempt_id,
    toDecimal128OrNull(texts[indexOf(codes, 32)], 18) AS saved_usd,
    texts[indexOf(codes, 33)] AS service_tier,
    texts[indexOf(codes, 34)] AS memory_pressure,
    texts[indexOf(codes, 35)] AS request_content,
    texts[indexOf(codes, 36)] AS response_content,
    texts[indexOf(codes, 37)] AS transition_scope,
    texts[indexOf(codes, 38)] AS breaker_from,
    texts[indexOf(codes, 39)] AS breaker_to,
    texts[indexOf(codes, 40)] AS breaker_cause,
    toUInt32(counts[indexOf(codes, 57)]) AS transition_failures,
    if(has(codes, 60), doubles[indexOf(codes, 60)], NULL) AS transition_open_seconds,
    texts[indexOf(codes, 61)] AS host,
    toUInt64(counts[indexOf(codes, 62)]) AS response_bytes,
    texts[indexOf(codes, 63)] AS deployment,
    texts[indexOf(codes, 64)] AS modality,
    texts[indexOf(codes, 65)] AS answer_fault,
    texts[indexOf(codes, 66)] AS feedback_verdict,
    texts[indexOf(codes, 67)] AS feedback_reason,
    if(has(codes, 68), doubles[indexOf(codes, 68)], NULL) AS feedback_score,
    toUInt8(has_told_id) + if(has_told_request, if(span.kind = 2, 4, 2), 0) AS derived
FROM
( -- judged
SELECT *, known != 'unknown' AS given
FROM
( -- weighed
SELECT *, multiIf(contradictory OR NOT counted, 'unknown', claimed IN ('measured', 'estimated'), claimed,
                  claimed = '', 'measured', 'unknown') AS known
FROM
( -- compared
SELECT
    *,
    greatest(input, generated, cached, written, written_1h, thought) > count_max
        OR cached + written > input
        OR thought > generated
        OR written_1h > written
        OR (claimed = 'measured' AND NOT counted) AS contradictory,
    -- What the views make again of the other ids is not stored.
    own_id != '' AND own_id = concat(substring(trace, 1, 16), own_span) AS has_told_id,
    said_request = concat('req_', substring(trace, 25), if(span.kind = 2, own_span, parent_span)) AS has_told_request
FROM
( -- read
SELECT
    *,
    lower(hex(span.trace_id)) AS trace,
    lower(hex(span.span_id)) AS own_span,
    lower(hex(span.parent_span_id)) AS parent_span,
    texts[indexOf(codes, 1)] AS own_id,
    texts[indexOf(codes, 6)] AS said_request,
    texts[indexOf(codes, 2)] AS claimed_tenant,
    texts[indexOf(codes, 21)] AS claimed,
    multiIf(has(codes, 17), texts[indexOf(codes, 17)], has(codes, 18), texts[indexOf(codes, 18)],
            span.status.code = 2, 'error', 'ok') AS ended,
    has(codes, 45) OR has(codes, 46) AS counted,
    toUInt64(counts[indexOf(codes, 45)]) AS input,
    toUInt64(counts[indexOf(codes, 46)]) AS generated,
    toUInt64(counts[indexOf(codes, 47)]) AS cached,
    toUInt64(counts[indexOf(codes, 48)]) AS written,
    toUInt64(counts[indexOf(codes, 49)]) AS written_1h,
    toUInt64(counts[indexOf(codes, 50)]) AS thought
FROM
( -- opened
SELECT
    batch_id, sender, received_at_ms,
    pair.1 AS span,
    pair.2 AS service,
    arrayMap(name -> transform(name, names, arrayMap(n -> toUInt8(n), arrayEnumerate(names)), 0), span.attributes.key) AS codes,
    span.attributes.value.string_value AS texts,
    span.attributes.value.int_value AS counts,
    span.attributes.value.double_value AS doubles,
    span.attributes.value.array_value.values.string_value AS lists
FROM
(
    SELECT
        batch_id, sender, received_at_ms,
        arrayJoin(arrayZip(
            arrayFlatten(resource_spans.scope_spans.spans),
            arrayFlatten(arrayMap(
                (attributes, scopes) -> arrayMap(
                    ids -> arrayMap(
                        id -> arrayFirst(a -> a.key = 'service.name', attributes).value.string_value,
                        ids),
                    scopes),
                resource_spans.resource.attributes,
                resource_spans.scope_spans.spans.trace_id)))) AS pair
    FROM tollway.gateway_landing
)
) AS opened
) AS read
) AS compared
) AS weighed
) AS judged;
