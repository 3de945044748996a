-- OTLP bytes as rows: all normalising is here. It is dropped and made again, never changed by MODIFY QUERY: after that the
-- store knows a batch by another name than before, and one that is sent again with its token lands twice. What lands
-- between the two statements lands nowhere; its sender reads back that nothing is there, and lands it anew.
DROP VIEW IF EXISTS tollway.landing_to_spans {on_cluster} SYNC;

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
        ('litellm.call_id', 'call_id'),
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
        ('litellm.call_type', 'operation'),
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
        ('litellm.provider.model', 'upstream_model'),
        ('gen_ai.response.id', 'response_id'),
        ('llm.response.id', 'response_id'),
        ('ai.response.id', 'response_id'),
        ('output.value', 'answer'),
        ('gen_ai.response.finish_reasons', 'finish_reason'),
        ('llm.finish_reason', 'finish_reason'),
        ('ai.response.finishReason', 'finish_reason'),
        ('langfuse.observation.metadata.finish_reason', 'finish_reason'),
        ('gen_ai.request.stream', 'stream'),
        ('gen_ai.request.is_stream', 'stream'),
        ('llm.is_streaming', 'stream'),
        ('litellm.request.streaming', 'stream'),
        ('gen_ai.is_streaming', 'stream'),
        ('llm.invocation_parameters', 'parameters'),
        ('gen_ai.request.max_tokens', 'max_tokens'),
        ('gen_ai.response.time_to_first_chunk', 'first_token_s'),
        ('ai.response.msToFirstChunk', 'first_token_ms'),
        ('langfuse.observation.completion_start_time', 'first_token_at'),
        ('gen_ai.usage.input_tokens', 'input'),
        ('gen_ai.usage.prompt_tokens', 'input'),
        ('llm.token_count.prompt', 'input'),
        ('llm.usage.prompt_tokens', 'input'),
        ('ai.usage.inputTokens', 'input'),
        ('ai.usage.promptTokens', 'input'),
        ('ai.usage.tokens', 'input'),
        ('gen_ai.usage.output_tokens', 'output'),
        ('gen_ai.usage.completion_tokens', 'output'),
        ('llm.token_count.completion', 'output'),
        ('llm.usage.completion_tokens', 'output'),
        ('ai.usage.outputTokens', 'output'),
        ('ai.usage.completionTokens', 'output'),
        ('gen_ai.usage.total_tokens', 'total'),
        ('llm.usage.total_tokens', 'total'),
        ('llm.token_count.total', 'total'),
        ('ai.usage.totalTokens', 'total'),
        ('gen_ai.client.token.usage', 'total'),
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
        ('ai.usage.inputTokenDetails.cacheReadTokens', 'cache_read'),
        ('gen_ai.usage.cache_write.input_tokens', 'cache_write'),
        ('gen_ai.usage.cache_creation.input_tokens', 'cache_write'),
        ('gen_ai.usage.cache_creation_input_tokens', 'cache_write'),
        ('gen_ai.usage.cache_write_tokens', 'cache_write'),
        ('gen_ai.usage.cache_write_input_tokens', 'cache_write'),
        ('gen_ai.usage.details.cache_write_tokens', 'cache_write'),
        ('gen_ai.usage.details.cache_creation_input_tokens', 'cache_write'),
        ('gen_ai.usage.input_cache_creation', 'cache_write'),
        ('llm.token_count.prompt_details.cache_write', 'cache_write'),
        ('ai.usage.inputTokenDetails.cacheWriteTokens', 'cache_write'),
        ('ai.response.providerMetadata', 'metadata'),
        ('gen_ai.usage.reasoning.output_tokens', 'reasoning'),
        ('gen_ai.usage.reasoning_tokens', 'reasoning'),
        ('gen_ai.usage.output_tokens.reasoning', 'reasoning'),
        ('gen_ai.usage.details.reasoning_tokens', 'reasoning'),
        ('llm.token_count.completion_details.reasoning', 'reasoning'),
        ('ai.usage.reasoningTokens', 'reasoning'),
        ('ai.usage.outputTokenDetails.reasoningTokens', 'reasoning'),
        ('langfuse.observation.usage_details', 'usage_details'),
        ('metadata.usage_object', 'usage_object'),
        ('gen_ai.usage.cost', 'cost'),
        ('operation.cost', 'cost'),
        ('llm.cost.total', 'cost'),
        ('litellm.cost.total', 'cost'),
        ('gen_ai.cost.total_cost', 'cost'),
        ('langfuse.observation.cost_details', 'cost_details'),
        ('litellm.team.id', 'team'),
        ('litellm.team.alias', 'team'),
        ('metadata.user_api_key_team_id', 'team'),
        ('metadata.user_api_key_team_alias', 'team'),
        ('litellm.api_key.hash', 'team'),
        ('metadata.user_api_key_hash', 'team'),
        ('session.id', 'conversation'),
        ('gen_ai.conversation.id', 'conversation'),
        ('langfuse.session.id', 'conversation'),
        ('ai.telemetry.metadata.sessionId', 'conversation'),
        ('traceloop.association.properties.session_id', 'conversation'),
        ('user.id', 'end_user'),
        ('langfuse.user.id', 'end_user'),
        ('ai.telemetry.metadata.userId', 'end_user'),
        ('gen_ai.request.user', 'end_user'),
        ('gen_ai.openai.request.user', 'end_user'),
        ('llm.user', 'end_user'),
        ('traceloop.association.properties.user_id', 'end_user'),
        ('litellm.end_user.id', 'end_user'),
        ('metadata.user_api_key_end_user_id', 'end_user'),
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
        ('gen_ai.openai.response.service_tier', 'service_tier'),
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
    -- Other emitters' names for a provider, in lower case and without the API they end in; the gateway's own are its
    -- operator's, and stay.
    [
        ('az.ai.openai', 'azure.ai.openai'), ('azure', 'azure.ai.openai'), ('azure-openai', 'azure.ai.openai'),
        ('azure_openai', 'azure.ai.openai'), ('az.ai.inference', 'azure.ai.inference'),
        ('azure_ai', 'azure.ai.inference'), ('vertex_ai', 'gcp.vertex_ai'), ('vertexai', 'gcp.vertex_ai'),
        ('google.vertex', 'gcp.vertex_ai'), ('vertex.anthropic', 'gcp.vertex_ai'), ('gemini', 'gcp.gemini'),
        ('google.ai.studio', 'gcp.gemini'), ('google.generative-ai', 'gcp.gemini'), ('google', 'gcp.gen_ai'),
        ('xai', 'x_ai'), ('bedrock', 'aws.bedrock'), ('bedrock_converse', 'aws.bedrock'),
        ('amazon-bedrock', 'aws.bedrock'), ('aws', 'aws.bedrock'), ('ibm.watson.ai', 'ibm.watsonx.ai'),
        ('watsonx', 'ibm.watsonx.ai'), ('mistral', 'mistral_ai'), ('mistralai', 'mistral_ai'),
        ('moonshot', 'moonshot_ai'), ('moonshotai', 'moonshot_ai'), ('cohere_chat', 'cohere')
    ] AS provider_spellings,
    arrayMap(x -> x.1, provider_spellings) AS provider_names,
    arrayMap(x -> x.2, provider_spellings) AS provider_canonical,
    '\\.(chat|responses|completion|embedding|textembedding|messages|image|speech|transcription)$' AS provider_api,
    -- One call of a model, in the words of each vocabulary. What has usage and another word repeats the usage of others.
    ['chat', 'request', 'text_completion', 'generate_content', 'embeddings', 'completion', 'embedding', 'rerank', 'reranker', 'llm',
     'generation', 'responses', 'image_generation', 'transcription', 'speech', 'moderation', 'acompletion', 'aembedding',
     'atext_completion', 'aresponses', 'arerank', 'aimage_generation', 'atranscription', 'aspeech', 'amoderation',
     'anthropic_messages', 'agenerate_content', 'ai.generatetext.dogenerate', 'ai.streamtext.dostream',
     'ai.generateobject.dogenerate', 'ai.streamobject.dostream', 'ai.embed.doembed', 'ai.embedmany.doembed'] AS call_names,
    ['invoke_agent', 'create_agent', 'invoke_workflow', 'agent', 'chain', 'workflow', 'agent_step', 'plan'] AS parent_names,
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
            -- An empty text says nothing, so a lower spelling may.
            arrayMap((k, text) -> if(ifNull(text, '') = '', toUInt16(65535), transform(k, names, ranks, toUInt16(65535))),
                     span.attributes.key, texts) AS ranked
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
    -- One step names what the next ones use: an alias used twice is planned twice, and the plan is most of a small batch's cost.
    sorted AS
    (
        SELECT
            * EXCEPT (texts, meant, ranked),
            arraySort((x, rank) -> rank, meant, ranked) AS m,
            arraySort((x, rank) -> rank, texts, ranked) AS v
        FROM opened
    ),
    named AS
    (
        SELECT
            *,
            -- Only a gateway says what an attempt is: a sender bound to a tenant cannot add to what a vendor may bill.
            if(bound_tenant = '', v[indexOf(m, 'attempt_id')], '') AS own_id,
            -- Likewise of a breaker that moved.
            if(bound_tenant = '', v[indexOf(m, 'transition_scope')], '') AS own_scope,
            own_id = '' AND own_scope = ''
                AND NOT (bound_tenant = '' AND span.kind = 2
                         AND arrayExists(k -> startsWith(k, 'tollway.'), span.attributes.key)) AS is_foreign,
            if(bound_tenant != '', bound_tenant, v[indexOf(m, 'tenant')]) AS owner,
            v[indexOf(m, 'completeness')] AS claimed,
            lower(v[indexOf(m, 'operation')]) AS operation_word,
            v[indexOf(m, 'response_id')] AS said_id,
            v[indexOf(m, 'finish_reason')] AS finished,
            if(is_foreign, v[indexOf(m, 'parameters')], '') AS parameters,
            if(is_foreign, v[indexOf(m, 'answer')], '') AS answer,
            if(is_foreign, v[indexOf(m, 'metadata')], '') AS metadata,
            if(is_foreign, v[indexOf(m, 'conversation')], '') AS conversation,
            if(is_foreign, v[indexOf(m, 'end_user')], '') AS user,
            if(is_foreign, v[indexOf(m, 'total')], '') AS said_total,
            replaceRegexpOne(lower(v[indexOf(m, 'provider')]), provider_api, '') AS bare_provider,
            -- Usage in one document: Langfuse's, or a vendor's as Python prints it, from LiteLLM.
            multiIf(NOT is_foreign, '',
                    v[indexOf(m, 'usage_details')] != '', v[indexOf(m, 'usage_details')],
                    replaceAll(replaceAll(v[indexOf(m, 'usage_object')], '\'', '"'), 'None', 'null')) AS document,
            [v[indexOf(m, 'input')], v[indexOf(m, 'output')], v[indexOf(m, 'cache_read')],
             v[indexOf(m, 'cache_write')], v[indexOf(m, 'cache_write_1h')], v[indexOf(m, 'reasoning')]] AS attributed
        FROM sorted
    ),
    documented AS
    (
        SELECT
            *,
            if(document = '', emptyArrayString(), arrayMap(
                x -> if(x = 'null', '', x),
                [JSONExtractRaw(document, 'input'),                                        -- 1 Langfuse's own classes
                 JSONExtractRaw(document, 'input_cached_tokens'),
                 JSONExtractRaw(document, 'input_cache_creation'),
                 JSONExtractRaw(document, 'output'),
                 JSONExtractRaw(document, 'output_reasoning_tokens'),
                 JSONExtractRaw(document, 'input_tokens'),                                 -- 6 a vendor's
                 JSONExtractRaw(document, 'prompt_tokens'),
                 JSONExtractRaw(document, 'output_tokens'),
                 JSONExtractRaw(document, 'completion_tokens'),
                 JSONExtractRaw(document, 'input_tokens_details', 'cached_tokens'),        -- 10
                 JSONExtractRaw(document, 'prompt_tokens_details', 'cached_tokens'),
                 JSONExtractRaw(document, 'cache_read_input_tokens'),
                 JSONExtractRaw(document, 'cache_creation_input_tokens'),
                 JSONExtractRaw(document, 'output_tokens_details', 'reasoning_tokens'),
                 JSONExtractRaw(document, 'completion_tokens_details', 'reasoning_tokens')])) AS d,
            if(metadata = '', emptyArrayString(), arrayMap(
                x -> if(x = 'null', '', x),
                [JSONExtractRaw(metadata, 'anthropic', 'usage', 'cache_creation_input_tokens'),
                 JSONExtractRaw(metadata, 'anthropic', 'cacheCreationInputTokens'),
                 JSONExtractRaw(metadata, 'anthropic', 'usage', 'cache_creation', 'ephemeral_1h_input_tokens')])) AS w
        FROM named
    ),
    filled AS
    (
        SELECT
            *,
            multiIf(
                document = '', emptyArrayString(),
                -- Langfuse's own classes are disjoint: their sum is its total. A vendor's cached tokens are within its input.
                d[1] != '' OR d[4] != '',
                [toString(toUInt64OrZero(d[1]) + toUInt64OrZero(if(d[2] != '', d[2], d[12]))
                          + toUInt64OrZero(if(d[3] != '', d[3], d[13]))),
                 if(d[4] = '', '', toString(toUInt64OrZero(d[4]) + toUInt64OrZero(d[5]))),
                 if(d[2] != '', d[2], d[12]), if(d[3] != '', d[3], d[13]), '', d[5]],
                [if(d[6] != '', d[6], d[7]), if(d[8] != '', d[8], d[9]),
                 multiIf(d[10] != '', d[10], d[11] != '', d[11], d[12]), d[13], '', if(d[14] != '', d[14], d[15])]) AS other,
            -- A document fills only what no attribute says.
            arrayMap(
                (attribute, i) -> multiIf(attribute != '', attribute, i = 4 AND w[1] != '', w[1],
                                          i = 4 AND w[2] != '', w[2], i = 5 AND w[3] != '', w[3], other[i]),
                attributed, [1, 2, 3, 4, 5, 6]) AS said,
            arrayMap(x -> if(position(x, '.') = 0, x, replaceRegexpOne(x, '\\.0+$', '')),
                     arrayPushBack(said, said_total)) AS counts
        FROM documented
    ),
    counted_up AS
    (
        SELECT
            *,
            arrayMap(x -> toUInt64OrZero(x), counts) AS n,
            counts[1] != '' OR counts[2] != '' AS counted
        FROM filled
    ),
    read AS
    (
        SELECT
            *,
            arrayExists(x -> x != '' AND (toUInt64OrNull(x) IS NULL OR toUInt64OrZero(x) > count_max), counts)
                OR n[3] + n[4] > n[1]
                OR n[6] > n[2]
                OR n[5] > n[4]
                -- A total that its parts do not make: cached tokens left out of the input, thoughts left out of the output.
                OR (counts[7] != '' AND counted AND n[7] != n[1] + n[2])
                OR (claimed = 'measured' AND NOT counted) AS contradictory,
            multiIf(
                contradictory OR NOT counted, 'unknown',
                is_foreign AND span.status.code = 2 AND n[1] + n[2] = 0, 'unknown',  -- a failure, which nobody measured
                claimed IN ('measured', 'estimated'), claimed,
                claimed = '', 'measured',
                'unknown') AS known,
            known != 'unknown' AS given,
            multiIf(v[indexOf(m, 'model')] != '', v[indexOf(m, 'model')],
                    parameters != '', JSONExtractString(parameters, 'model'), '') AS asked_model
        FROM counted_up
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
    multiIf(v[indexOf(m, 'tenant')] != '', v[indexOf(m, 'tenant')], is_foreign, v[indexOf(m, 'team')], '') AS claimed_tenant,
    owner AS tenant,
    v[indexOf(m, 'alias')] AS alias,
    v[indexOf(m, 'tier')] AS tier,
    multiIf(v[indexOf(m, 'session')] != '', v[indexOf(m, 'session')],
            conversation != '',
            substring(lower(hex(SHA256(concat(owner, '\0', conversation)))), 1, 32), '') AS session,
    if(v[indexOf(m, 'request_id')] != '', v[indexOf(m, 'request_id')], v[indexOf(m, 'call_id')]) AS request_id,
    v[indexOf(m, 'upstream')] AS upstream,
    if(own_id != '' OR own_scope != '', v[indexOf(m, 'provider')],
       transform(bare_provider, provider_names, provider_canonical, bare_provider)) AS provider,
    v[indexOf(m, 'account')] AS account,
    v[indexOf(m, 'region')] AS region,
    v[indexOf(m, 'quantization')] AS quantization,
    v[indexOf(m, 'pattern')] AS pattern,
    v[indexOf(m, 'operation')] AS operation,
    asked_model AS model,
    v[indexOf(m, 'response_model')] AS response_model,
    -- LiteLLM gives its own call id where the vendor gave none; OpenInference leaves the id in the answer.
    multiIf(said_id != '' AND said_id = v[indexOf(m, 'call_id')], '',
            said_id != '', said_id,
            answer != '', JSONExtractString(answer, 'id'), '') AS response_id,
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
            ['input', 'output', 'cache_read', 'cache_write', 'cache_write_1h', 'reasoning', 'total'],
            arrayPushBack(said, said_total))),
        '') AS usage_raw,
    v[indexOf(m, 'rate_card')] AS rate_card,
    v[indexOf(m, 'cache_status')] AS cache_status,
    toFloat64OrZero(v[indexOf(m, 'queue_seconds')]) AS queue_seconds,
    coalesce(toFloat64OrNull(v[indexOf(m, 'first_token_s')]),
             toFloat64OrNull(v[indexOf(m, 'first_token_ms')]) / 1000,
             if(v[indexOf(m, 'first_token_at')] = '', NULL, dateDiff('microsecond', started_at,
                parseDateTime64BestEffortOrNull(trim(BOTH '"' FROM v[indexOf(m, 'first_token_at')]), 6, 'UTC')) / 1e6)
    ) AS first_token_seconds,
    if(span.end_time_unix_nano > span.start_time_unix_nano,
       (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9, 0) AS duration_seconds,
    if(v[indexOf(m, 'stream')] = '' AND parameters != '', JSONExtractBool(parameters, 'stream'),
       lower(v[indexOf(m, 'stream')]) IN ('true', '1')) AS stream,
    -- Some send a list, or a text, as JSON.
    multiIf(startsWith(finished, '['), JSONExtractString(finished, 1),
            startsWith(finished, '"'), trim(BOTH '"' FROM finished), finished) AS finish_reason,
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
    if(own_scope = '', NULL, toFloat64OrNull(v[indexOf(m, 'transition_open_seconds')])) AS transition_open_seconds,
    multiIf(
        NOT is_foreign, '',
        operation_word IN call_names, 'call',
        operation_word = '' AND counted AND asked_model != '', 'call',
        counted OR operation_word IN parent_names, 'parent',
        'other') AS foreign_role,
    v[indexOf(m, 'upstream_model')] AS upstream_model,
    if(user != '', substring(lower(hex(SHA256(concat(owner, '\0', user)))), 1, 32), '') AS end_user,
    if(is_foreign, toDecimal128OrNull(
        if(v[indexOf(m, 'cost')] != '', v[indexOf(m, 'cost')],
           JSONExtractRaw(v[indexOf(m, 'cost_details')], 'total')), 18), NULL) AS emitter_cost_usd
FROM read;
