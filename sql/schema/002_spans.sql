-- Facts: one row a span, typed. The collector writes OTLP bytes into `landing`; the view `landing_to_spans` turns them into
-- rows, and all normalising is there. One insert feeds one table, so a batch is there whole or not at all.
CREATE TABLE IF NOT EXISTS tollway.spans {on_cluster}
(
    attempt_id          String CODEC(ZSTD(1)),           -- '' = not the gateway's attempt
    trace_id            String CODEC(ZSTD(1)),           -- 32 hex digits
    span_id             String CODEC(ZSTD(1)),           -- 16 hex digits
    parent_span_id      String CODEC(ZSTD(1)),
    name                LowCardinality(String),
    kind                UInt8,                           -- OTLP: 2 server, 3 client
    started_at          DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ended_at            DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)),
    tenant              LowCardinality(String),
    claimed_tenant      LowCardinality(String),          -- what the span said; differs where its sender is bound to a tenant
    alias               LowCardinality(String),
    tier                LowCardinality(String),
    session             String CODEC(ZSTD(1)),
    request_id          String CODEC(ZSTD(1)),
    upstream            LowCardinality(String),
    provider            LowCardinality(String),
    account             LowCardinality(String),
    region              LowCardinality(String),
    quantization        LowCardinality(String),
    pattern             LowCardinality(String),
    operation           LowCardinality(String),
    model               LowCardinality(String),          -- asked of the upstream
    response_model      LowCardinality(String),
    response_id         String CODEC(ZSTD(1)),
    attempt_index       UInt16,
    attempts            UInt16,                          -- on an operation: how many it made
    outcome             LowCardinality(String),
    fallback_depth      UInt8,
    fallback_reason     LowCardinality(String),
    estimated_cost_usd  Nullable(Decimal(38, 18)),       -- NULL = no estimate
    input_uncached      UInt64 CODEC(T64, ZSTD(1)),      -- the six classes are disjoint; all 0 where completeness is unknown
    cache_read          UInt64 CODEC(T64, ZSTD(1)),
    cache_write_5m      UInt64 CODEC(T64, ZSTD(1)),
    cache_write_1h      UInt64 CODEC(T64, ZSTD(1)),
    output              UInt64 CODEC(T64, ZSTD(1)),
    reasoning           UInt64 CODEC(T64, ZSTD(1)),
    completeness        LowCardinality(String),          -- measured | estimated | unknown
    usage_invalid       Bool,                            -- the span's counts contradict each other; see usage_raw
    usage_raw           String CODEC(ZSTD(1)),           -- the vendor's usage JSON, or a foreign span's usage attributes
    rate_card           LowCardinality(String),
    cache_status        LowCardinality(String),
    queue_seconds       Float64,
    first_token_seconds Nullable(Float64),
    duration_seconds    Float64,
    stream              Bool,
    finish_reason       LowCardinality(String),
    error_type          LowCardinality(String),
    http_status         UInt16,                          -- 0 = no answer
    server_address      LowCardinality(String),
    server_port         UInt16,
    user_agent          LowCardinality(String),
    request_bytes       UInt64 CODEC(T64, ZSTD(1)),
    max_output_tokens   UInt64 CODEC(T64, ZSTD(1)),      -- 0 = not given
    billable            Bool,                            -- a vendor may charge for it
    service             LowCardinality(String),
    batch_id            String CODEC(ZSTD(1)),
    received_at         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    sender              LowCardinality(String),
    INDEX by_attempt attempt_id TYPE bloom_filter(0.001) GRANULARITY 4,
    INDEX by_trace trace_id TYPE bloom_filter(0.001) GRANULARITY 4,
    INDEX by_request request_id TYPE bloom_filter(0.001) GRANULARITY 4,
    INDEX by_response response_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX by_batch batch_id TYPE bloom_filter(0.001) GRANULARITY 4
)
ENGINE = {engine}
PARTITION BY toDate(received_at)
ORDER BY (tenant, alias, toStartOfHour(started_at), started_at, span_id)
SETTINGS non_replicated_deduplication_window = 10000,
         replicated_deduplication_window = 10000,
         replicated_deduplication_window_seconds = 604800;

-- Mirrors otlp.proto; rows pass through and are not kept. Nullable tells a zero from a value of another type.
CREATE TABLE IF NOT EXISTS tollway.landing {on_cluster}
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(
            key String,
            value Tuple(
                string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64),
                double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value String))))))),
        scope_spans Array(Tuple(spans Array(Tuple(
            trace_id String, span_id String, parent_span_id String, name String, kind Int32,
            start_time_unix_nano UInt64, end_time_unix_nano UInt64,
            attributes Array(Tuple(
                key String,
                value Tuple(
                    string_value Nullable(String), bool_value Nullable(Bool), int_value Nullable(Int64),
                    double_value Nullable(Float64), array_value Tuple(values Array(Tuple(string_value String)))))),
            status Tuple(code Int32))))))),
    batch_id       String,
    sender         String,
    bound_tenant   String,
    received_at_ms Int64
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS tollway.landing_to_spans {on_cluster} TO tollway.spans AS
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
        ('user_agent.original', 'user_agent')
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
    if(own_id != '', v[indexOf(m, 'provider')],
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
    sender
FROM read;

-- Calls of an upstream made by the gateway: each is a thing a vendor may bill, but for the refused ones.
CREATE VIEW IF NOT EXISTS tollway.attempts {on_cluster} AS
SELECT
    attempt_id, trace_id, span_id, parent_span_id, started_at, ended_at, tenant, claimed_tenant, alias, tier, session,
    request_id, upstream, provider, account, region, quantization, pattern, model, response_model, response_id,
    attempt_index, outcome, fallback_depth, fallback_reason, estimated_cost_usd, input_uncached, cache_read,
    cache_write_5m, cache_write_1h, output, reasoning, completeness, usage_invalid, usage_raw, rate_card, cache_status,
    queue_seconds, first_token_seconds, duration_seconds, stream, finish_reason, error_type, http_status, server_address,
    server_port, request_bytes, max_output_tokens, billable, batch_id, received_at, sender
FROM tollway.spans
WHERE kind = 3 AND attempt_id != '';

-- Requests of clients: the parents of attempts; never billable.
CREATE VIEW IF NOT EXISTS tollway.operations {on_cluster} AS
SELECT
    trace_id, span_id, parent_span_id, started_at, ended_at, tenant, claimed_tenant, alias, tier, session, request_id,
    outcome, error_type, http_status, attempts, fallback_depth, queue_seconds, first_token_seconds, duration_seconds,
    stream, cache_status, user_agent, service, batch_id, received_at, sender
FROM tollway.spans
WHERE kind = 2;
