-- What the routing plane adds to a span: the client's route, micro-batches, what the gateway's own cache saved, content
-- where a tier's logging policy keeps it, and the transitions of breakers and regions.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS route LowCardinality(String),          -- the client's
    ADD COLUMN IF NOT EXISTS tool_format LowCardinality(String),    -- tools | functions; '' = none
    ADD COLUMN IF NOT EXISTS batch_window_ms UInt32,                -- 0 = sent alone
    ADD COLUMN IF NOT EXISTS batch_size UInt32 DEFAULT if(attempt_id = '', 0, 1),  -- requests that an attempt carries
    ADD COLUMN IF NOT EXISTS shared_attempt_id String CODEC(ZSTD(1)),  -- on an operation that a micro-batch answered
    ADD COLUMN IF NOT EXISTS saved_usd Nullable(Decimal(38, 18)),   -- on an operation that the cache answered
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String),   -- as the vendor says
    ADD COLUMN IF NOT EXISTS memory_pressure LowCardinality(String),
    ADD COLUMN IF NOT EXISTS request_content String CODEC(ZSTD(3)) TTL toDateTime(received_at) + INTERVAL 30 DAY,
    ADD COLUMN IF NOT EXISTS response_content String CODEC(ZSTD(3)) TTL toDateTime(received_at) + INTERVAL 30 DAY,
    ADD COLUMN IF NOT EXISTS transition_scope LowCardinality(String),  -- breaker | region; '' = no transition
    ADD COLUMN IF NOT EXISTS breaker_from LowCardinality(String),
    ADD COLUMN IF NOT EXISTS breaker_to LowCardinality(String),
    ADD COLUMN IF NOT EXISTS breaker_cause LowCardinality(String),
    ADD COLUMN IF NOT EXISTS transition_failures UInt32,
    ADD COLUMN IF NOT EXISTS transition_open_seconds Nullable(Float64);

-- The view is changed in one step, so no batch can land between an old one that is gone and a new one.
ALTER TABLE tollway.landing_to_spans {on_cluster} MODIFY QUERY
WITH
    -- (spelling, what it means): a span may carry several vocabularies, so of one meaning the first spelling here wins.
    [
        ('tollway.attempt.id', 'attempt_id'),
        ('tollway.tenant', 'tenant'),
        ('tollway.alias', 'alias'),
        ('tollway.tier', 'tier'),
        ('tollway.session', 'session'),
        ('tollway.request.id', 'request_id'),
        ('tollway.upstream', 'upstream'),
        ('tollway.account', 'account'),
        ('tollway.region', 'region'),
        ('tollway.quantization', 'quantization'),
        ('tollway.pattern', 'pattern'),
        ('tollway.attempt.index', 'attempt_index'),
        ('tollway.attempts', 'attempts'),
        ('tollway.attempt.outcome', 'outcome'),
        ('tollway.operation.outcome', 'outcome'),
        ('tollway.fallback.depth', 'fallback_depth'),
        ('tollway.fallback.reason', 'fallback_reason'),
        ('tollway.fallback.estimated_cost_usd', 'estimated_cost'),
        ('tollway.usage.completeness', 'completeness'),
        ('tollway.usage.raw', 'usage_raw'),
        ('tollway.usage.cache_write_1h', 'cache_write_1h'),
        ('tollway.rate_card', 'rate_card'),
        ('tollway.cache.status', 'cache_status'),
        ('tollway.queue.seconds', 'queue_seconds'),
        ('tollway.request.bytes', 'request_bytes'),
        ('gen_ai.operation.name', 'operation'),
        ('llm.request.type', 'operation'),
        ('openinference.span.kind', 'operation'),
        ('ai.operationId', 'operation'),
        ('langfuse.observation.type', 'operation'),
        ('gen_ai.provider.name', 'provider'),
        ('gen_ai.system', 'provider'),
        ('llm.provider', 'provider'),
        ('llm.system', 'provider'),
        ('ai.model.provider', 'provider'),
        ('gen_ai.request.model', 'model'),
        ('llm.request.model_name', 'model'),
        ('llm.model_name', 'model'),
        ('ai.model.id', 'model'),
        ('embedding.model_name', 'model'),
        ('model', 'model'),
        ('gen_ai.response.model', 'response_model'),
        ('langfuse.observation.model.name', 'response_model'),
        ('llm.response.model_name', 'response_model'),
        ('llm.response.model', 'response_model'),
        ('ai.response.model', 'response_model'),
        ('gen_ai.response.id', 'response_id'),
        ('gen_ai.response.finish_reasons', 'finish_reason'),
        ('gen_ai.request.stream', 'stream'),
        ('gen_ai.request.is_stream', 'stream'),
        ('llm.is_streaming', 'stream'),
        ('litellm.request.streaming', 'stream'),
        ('gen_ai.request.max_tokens', 'max_tokens'),
        ('gen_ai.response.time_to_first_chunk', 'first_token_s'),
        ('ai.response.msToFirstChunk', 'first_token_ms'),
        ('gen_ai.usage.input_tokens', 'input'),
        ('gen_ai.usage.prompt_tokens', 'input'),
        ('llm.token_count.prompt', 'input'),
        ('llm.usage.prompt_tokens', 'input'),
        ('ai.usage.inputTokens', 'input'),
        ('ai.usage.promptTokens', 'input'),
        ('gen_ai.usage.output_tokens', 'output'),
        ('gen_ai.usage.completion_tokens', 'output'),
        ('llm.token_count.completion', 'output'),
        ('llm.usage.completion_tokens', 'output'),
        ('ai.usage.outputTokens', 'output'),
        ('ai.usage.completionTokens', 'output'),
        ('gen_ai.usage.cache_read.input_tokens', 'cache_read'),
        ('gen_ai.usage.cache_read_input_tokens', 'cache_read'),
        ('gen_ai.usage.cache_read_tokens', 'cache_read'),
        ('gen_ai.usage.details.cache_read_tokens', 'cache_read'),
        ('gen_ai.usage.details.cache_read_input_tokens', 'cache_read'),
        ('gen_ai.usage.input_tokens.cached', 'cache_read'),
        ('gen_ai.usage.input_cached_tokens', 'cache_read'),
        ('llm.token_count.prompt_details.cache_read', 'cache_read'),
        ('llm.token_count.prompt_details.cache_input', 'cache_read'),
        ('ai.usage.cachedInputTokens', 'cache_read'),
        ('gen_ai.usage.cache_write.input_tokens', 'cache_write'),
        ('gen_ai.usage.cache_creation.input_tokens', 'cache_write'),
        ('gen_ai.usage.cache_creation_input_tokens', 'cache_write'),
        ('gen_ai.usage.cache_write_tokens', 'cache_write'),
        ('gen_ai.usage.details.cache_write_tokens', 'cache_write'),
        ('gen_ai.usage.details.cache_creation_input_tokens', 'cache_write'),
        ('gen_ai.usage.input_cache_creation', 'cache_write'),
        ('llm.token_count.prompt_details.cache_write', 'cache_write'),
        ('gen_ai.usage.reasoning.output_tokens', 'reasoning'),
        ('gen_ai.usage.reasoning_tokens', 'reasoning'),
        ('gen_ai.usage.output_tokens.reasoning', 'reasoning'),
        ('gen_ai.usage.details.reasoning_tokens', 'reasoning'),
        ('llm.token_count.completion_details.reasoning', 'reasoning'),
        ('ai.usage.reasoningTokens', 'reasoning'),
        ('error.type', 'error_type'),
        ('http.response.status_code', 'http_status'),
        ('http.status_code', 'http_status'),
        ('server.address', 'server_address'),
        ('server.port', 'server_port'),
        ('user_agent.original', 'user_agent'),
        ('tollway.route', 'route'),
        ('tollway.tool_format', 'tool_format'),
        ('tollway.batch.window_ms', 'batch_window_ms'),
        ('tollway.batch.size', 'batch_size'),
        ('tollway.batch.attempt_id', 'shared_attempt_id'),
        ('tollway.cache.saved_usd', 'saved'),
        ('openai.response.service_tier', 'service_tier'),
        ('tollway.memory.pressure', 'memory_pressure'),
        ('gen_ai.input.messages', 'request_content'),
        ('gen_ai.output.messages', 'response_content'),
        ('tollway.transition.scope', 'transition_scope'),
        ('tollway.transition.failures', 'transition_failures'),
        ('tollway.transition.open_seconds', 'transition_open_seconds'),
        ('tollway.breaker.from', 'breaker_from'),
        ('tollway.breaker.to', 'breaker_to'),
        ('tollway.breaker.cause', 'breaker_cause')
    ] AS spellings,
    arrayMap(x -> x.1, spellings) AS names,
    arrayMap(x -> x.2, spellings) AS meanings,
    arrayMap(x -> toUInt16(x), arrayEnumerate(spellings)) AS ranks,
    -- Other emitters' names for a provider; the gateway's own are its operator's, and stay.
    ['az.ai.openai', 'azure', 'az.ai.inference', 'vertex_ai', 'gemini', 'google.ai.studio', 'xai', 'bedrock',
     'ibm.watson.ai'] AS provider_names,
    ['azure.ai.openai', 'azure.ai.openai', 'azure.ai.inference', 'gcp.vertex_ai', 'gcp.gemini', 'gcp.gemini', 'x_ai',
     'aws.bedrock', 'ibm.watsonx.ai'] AS provider_canonical,
    1000000000000 AS count_max,  -- no attempt has more tokens; a larger count is a fault, and money times it could overflow
    opened AS
    (
        SELECT
            batch_id, sender, bound_tenant, received_at_ms,
            pair.1 AS span,
            pair.2 AS service,
            arrayMap(a -> coalesce(
                a.value.string_value, toString(a.value.int_value), toString(a.value.double_value),
                toString(a.value.bool_value), a.value.array_value.values[1].string_value), span.attributes) AS texts,
            arrayMap(k -> transform(k, names, meanings, ''), span.attributes.key) AS meant,
            arrayMap(k -> transform(k, names, ranks, toUInt16(65535)), span.attributes.key) AS ranked
        FROM
        (
            SELECT
                batch_id, sender, bound_tenant, received_at_ms,
                arrayJoin(arrayZip(
                    arrayFlatten(resource_spans.scope_spans.spans),
                    arrayFlatten(arrayMap(
                        (attributes, scopes) -> arrayMap(
                            ids -> arrayMap(
                                id -> ifNull(arrayFirst(a -> a.key = 'service.name', attributes).value.string_value, ''),
                                ids),
                            scopes),
                        resource_spans.resource.attributes,
                        resource_spans.scope_spans.spans.trace_id)))) AS pair
            FROM tollway.landing
        )
    ),
    read AS
    (
        SELECT
            *,
            arraySort((x, rank) -> rank, meant, ranked) AS m,
            arraySort((x, rank) -> rank, texts, ranked) AS v,
            -- Only a gateway says what an attempt is: a sender bound to a tenant cannot add to what a vendor may bill.
            if(bound_tenant = '', v[indexOf(m, 'attempt_id')], '') AS own_id,
            -- Likewise of a breaker that moved.
            if(bound_tenant = '', v[indexOf(m, 'transition_scope')], '') AS own_scope,
            v[indexOf(m, 'completeness')] AS claimed,
            [v[indexOf(m, 'input')], v[indexOf(m, 'output')], v[indexOf(m, 'cache_read')],
             v[indexOf(m, 'cache_write')], v[indexOf(m, 'cache_write_1h')], v[indexOf(m, 'reasoning')]] AS said,
            arrayMap(x -> if(position(x, '.') = 0, x, replaceRegexpOne(x, '\\.0+$', '')), said) AS counts,
            arrayMap(x -> toUInt64OrZero(x), counts) AS n,
            counts[1] != '' OR counts[2] != '' AS counted,
            arrayExists(x -> x != '' AND (toUInt64OrNull(x) IS NULL OR toUInt64OrZero(x) > count_max), counts)
                OR n[3] + n[4] > n[1]
                OR n[6] > n[2]
                OR n[5] > n[4]
                OR (claimed = 'measured' AND NOT counted) AS contradictory,
            multiIf(
                contradictory OR NOT counted, 'unknown',
                claimed IN ('measured', 'estimated'), claimed,
                claimed = '', 'measured',
                'unknown') AS known,
            known != 'unknown' AS given
        FROM opened
    )
SELECT
    own_id AS attempt_id,
    lower(hex(span.trace_id)) AS trace_id,
    lower(hex(span.span_id)) AS span_id,
    lower(hex(span.parent_span_id)) AS parent_span_id,
    span.name AS name,
    toUInt8(span.kind) AS kind,
    fromUnixTimestamp64Nano(toInt64(span.start_time_unix_nano), 'UTC') AS started_at,
    fromUnixTimestamp64Nano(toInt64(greatest(span.end_time_unix_nano, span.start_time_unix_nano)), 'UTC') AS ended_at,
    v[indexOf(m, 'tenant')] AS claimed_tenant,
    if(bound_tenant != '', bound_tenant, claimed_tenant) AS tenant,
    v[indexOf(m, 'alias')] AS alias,
    v[indexOf(m, 'tier')] AS tier,
    v[indexOf(m, 'session')] AS session,
    v[indexOf(m, 'request_id')] AS request_id,
    v[indexOf(m, 'upstream')] AS upstream,
    if(own_id != '' OR own_scope != '', v[indexOf(m, 'provider')],
       transform(v[indexOf(m, 'provider')], provider_names, provider_canonical, v[indexOf(m, 'provider')])) AS provider,
    v[indexOf(m, 'account')] AS account,
    v[indexOf(m, 'region')] AS region,
    v[indexOf(m, 'quantization')] AS quantization,
    v[indexOf(m, 'pattern')] AS pattern,
    v[indexOf(m, 'operation')] AS operation,
    v[indexOf(m, 'model')] AS model,
    v[indexOf(m, 'response_model')] AS response_model,
    v[indexOf(m, 'response_id')] AS response_id,
    toUInt16OrZero(v[indexOf(m, 'attempt_index')]) AS attempt_index,
    toUInt16OrZero(v[indexOf(m, 'attempts')]) AS attempts,
    multiIf(v[indexOf(m, 'outcome')] != '', v[indexOf(m, 'outcome')], span.status.code = 2, 'error', 'ok') AS outcome,
    toUInt8OrZero(v[indexOf(m, 'fallback_depth')]) AS fallback_depth,
    v[indexOf(m, 'fallback_reason')] AS fallback_reason,
    toDecimal128OrNull(v[indexOf(m, 'estimated_cost')], 18) AS estimated_cost_usd,
    if(given, n[1] - n[3] - n[4], 0) AS input_uncached,
    if(given, n[3], 0) AS cache_read,
    if(given, n[4] - n[5], 0) AS cache_write_5m,
    if(given, n[5], 0) AS cache_write_1h,
    if(given, n[2] - n[6], 0) AS output,
    if(given, n[6], 0) AS reasoning,
    known AS completeness,
    contradictory AS usage_invalid,
    multiIf(
        v[indexOf(m, 'usage_raw')] != '', v[indexOf(m, 'usage_raw')],
        own_id = '' AND counted, toJSONString(mapFromArrays(
            ['input', 'output', 'cache_read', 'cache_write', 'cache_write_1h', 'reasoning'], said)),
        '') AS usage_raw,
    v[indexOf(m, 'rate_card')] AS rate_card,
    v[indexOf(m, 'cache_status')] AS cache_status,
    toFloat64OrZero(v[indexOf(m, 'queue_seconds')]) AS queue_seconds,
    coalesce(toFloat64OrNull(v[indexOf(m, 'first_token_s')]),
             toFloat64OrNull(v[indexOf(m, 'first_token_ms')]) / 1000) AS first_token_seconds,
    if(span.end_time_unix_nano > span.start_time_unix_nano,
       (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9, 0) AS duration_seconds,
    lower(v[indexOf(m, 'stream')]) IN ('true', '1') AS stream,
    v[indexOf(m, 'finish_reason')] AS finish_reason,
    v[indexOf(m, 'error_type')] AS error_type,
    toUInt16OrZero(v[indexOf(m, 'http_status')]) AS http_status,
    v[indexOf(m, 'server_address')] AS server_address,
    toUInt16OrZero(v[indexOf(m, 'server_port')]) AS server_port,
    v[indexOf(m, 'user_agent')] AS user_agent,
    toUInt64OrZero(v[indexOf(m, 'request_bytes')]) AS request_bytes,
    toUInt64OrZero(v[indexOf(m, 'max_tokens')]) AS max_output_tokens,
    kind = 3 AND own_id != '' AND outcome != 'refused' AS billable,
    service,
    batch_id,
    fromUnixTimestamp64Milli(received_at_ms, 'UTC') AS received_at,
    sender,
    v[indexOf(m, 'route')] AS route,
    v[indexOf(m, 'tool_format')] AS tool_format,
    toUInt32OrZero(v[indexOf(m, 'batch_window_ms')]) AS batch_window_ms,
    if(own_id = '', 0, greatest(toUInt32OrZero(v[indexOf(m, 'batch_size')]), 1)) AS batch_size,
    v[indexOf(m, 'shared_attempt_id')] AS shared_attempt_id,
    toDecimal128OrNull(v[indexOf(m, 'saved')], 18) AS saved_usd,
    v[indexOf(m, 'service_tier')] AS service_tier,
    v[indexOf(m, 'memory_pressure')] AS memory_pressure,
    -- Only the gateway's, whose tiers say what may be kept; what applications send of their prompts stays out.
    if(own_id = '', '', v[indexOf(m, 'request_content')]) AS request_content,
    if(own_id = '', '', v[indexOf(m, 'response_content')]) AS response_content,
    own_scope AS transition_scope,
    if(own_scope = '', '', v[indexOf(m, 'breaker_from')]) AS breaker_from,
    if(own_scope = '', '', v[indexOf(m, 'breaker_to')]) AS breaker_to,
    if(own_scope = '', '', v[indexOf(m, 'breaker_cause')]) AS breaker_cause,
    if(own_scope = '', 0, toUInt32OrZero(v[indexOf(m, 'transition_failures')])) AS transition_failures,
    if(own_scope = '', NULL, toFloat64OrNull(v[indexOf(m, 'transition_open_seconds')])) AS transition_open_seconds
FROM read;

CREATE OR REPLACE VIEW tollway.attempts {on_cluster} AS
SELECT
    attempt_id, trace_id, span_id, parent_span_id, started_at, ended_at, tenant, claimed_tenant, alias, tier, session,
    request_id, upstream, provider, account, region, quantization, pattern, model, response_model, response_id,
    attempt_index, outcome, fallback_depth, fallback_reason, estimated_cost_usd, input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output, reasoning, completeness, usage_invalid, usage_raw, rate_card, cache_status,
    queue_seconds, first_token_seconds, duration_seconds, stream, finish_reason, error_type, http_status, server_address,
    server_port, request_bytes, max_output_tokens, billable, batch_id, received_at, sender, operation, route, tool_format,
    batch_window_ms, batch_size, service_tier, memory_pressure, request_content, response_content
FROM tollway.spans
WHERE kind = 3 AND attempt_id != '';

-- The counts of an operation are its own slice of a micro-batch's, or what a cache hit did not spend: never billable.
CREATE OR REPLACE VIEW tollway.operations {on_cluster} AS
SELECT
    trace_id, span_id, parent_span_id, started_at, ended_at, tenant, claimed_tenant, alias, tier, session, request_id,
    outcome, error_type, http_status, attempts, fallback_depth, queue_seconds, first_token_seconds, duration_seconds,
    stream, cache_status, user_agent, service, batch_id, received_at, sender, operation, route, tool_format,
    shared_attempt_id, saved_usd, input_uncached, cache_read, cache_write_5m, cache_write_1h, output, reasoning,
    completeness
FROM tollway.spans
WHERE kind = 2;

-- Breakers that moved (scope breaker), and regions that browned out or recovered (scope region; their upstream is '').
CREATE OR REPLACE VIEW tollway.transitions {on_cluster} AS
SELECT
    started_at AS at, tenant, alias, tier, upstream, provider, region, transition_scope AS scope, breaker_from, breaker_to,
    breaker_cause, transition_failures AS failures, transition_open_seconds AS open_seconds, trace_id, span_id,
    parent_span_id, service, batch_id, received_at, sender
FROM tollway.spans
WHERE kind = 1 AND transition_scope != '';

-- As before, with the new columns of attempts but for their content.
CREATE OR REPLACE VIEW tollway.rated_attempts {on_cluster} AS
WITH
    own.effective_to > started_at AS by_account,
    NOT by_account AND general.effective_to > started_at AS by_model,
    multiIf(by_account, own.currency, by_model, general.currency, '') AS card_currency,
    multiIf(by_account, own.price_input_uncached, by_model, general.price_input_uncached, NULL) AS p_input_uncached,
    multiIf(by_account, own.price_cache_read, by_model, general.price_cache_read, NULL) AS p_cache_read,
    multiIf(by_account, own.price_cache_write_5m, by_model, general.price_cache_write_5m, NULL) AS p_cache_write_5m,
    multiIf(by_account, own.price_cache_write_1h, by_model, general.price_cache_write_1h, NULL) AS p_cache_write_1h,
    multiIf(by_account, own.price_output, by_model, general.price_output, NULL) AS p_output,
    multiIf(by_account, coalesce(own.price_reasoning, own.price_output),
            by_model, coalesce(general.price_reasoning, general.price_output), NULL) AS p_reasoning,
    if(card_currency != 'USD', NULL,
        if(input_uncached = 0, toDecimal256(0, 18), toDecimal256(p_input_uncached, 18) * input_uncached)
        + if(cache_read = 0, toDecimal256(0, 18), toDecimal256(p_cache_read, 18) * cache_read)
        + if(cache_write_5m = 0, toDecimal256(0, 18), toDecimal256(p_cache_write_5m, 18) * cache_write_5m)
        + if(cache_write_1h = 0, toDecimal256(0, 18), toDecimal256(p_cache_write_1h, 18) * cache_write_1h)
        + if(output = 0, toDecimal256(0, 18), toDecimal256(p_output, 18) * output)
        + if(reasoning = 0, toDecimal256(0, 18), toDecimal256(p_reasoning, 18) * reasoning)) AS priced
SELECT
    a.* EXCEPT (request_content, response_content),
    multiIf(by_account, own.card_id, by_model, general.card_id, '') AS card_id,
    card_currency AS currency,
    multiIf(outcome = 'refused', toDecimal128(0, 18),
            completeness = 'measured', toDecimal128(priced, 18), NULL) AS cost_usd,
    if(outcome != 'refused' AND completeness = 'estimated', toDecimal128(priced, 18), NULL) AS partial_cost_usd,
    outcome != 'refused' AND completeness != 'unknown' AND priced IS NULL AS unpriced,
    -- What a vendor may bill and has not told the final usage of; an error answer and a connection that never was are not
    -- billed.
    billable AND completeness != 'measured'
        AND NOT (outcome = 'error' AND completeness = 'unknown'
                 AND (http_status >= 400 OR error_type = 'connect_error')) AS unmeasured
FROM tollway.attempts AS a
ASOF LEFT JOIN
(
    SELECT * EXCEPT (provider, model, account), provider AS card_provider, model AS card_model, account AS card_account,
        toDateTime64(effective_from, 9, 'UTC') AS since
    FROM tollway.rate_cards WHERE account != ''
) AS own
    ON own.card_provider = a.provider AND own.card_model = a.model AND own.card_account = a.account
    AND own.since <= a.started_at
ASOF LEFT JOIN
(
    SELECT * EXCEPT (provider, model, account), provider AS card_provider, model AS card_model,
        toDateTime64(effective_from, 9, 'UTC') AS since
    FROM tollway.rate_cards WHERE account = ''
) AS general
    ON general.card_provider = a.provider AND general.card_model = a.model AND general.since <= a.started_at;
