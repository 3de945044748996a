-- OTLP bytes as rows: all normalising is here. It is dropped and made again, never changed by MODIFY QUERY: after that the
-- store knows a batch by another name than before, and one that is sent again with its token lands twice. What lands
-- between the two statements lands nowhere; its sender reads back that nothing is there, and lands it anew.
--
-- It is planned anew for each insert, which is most of what a small batch costs, so it is written to be planned cheaply.
-- Steps are nested, to be read from the inside out ("opened" is the first, right at the end): WITH would have each of them
-- resolved again for those behind it, a quarter of it all. And a step names what the next ones use: an alias used twice is
-- planned twice.
DROP VIEW IF EXISTS tollway.landing_to_spans {on_cluster} SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS tollway.landing_to_spans {on_cluster} TO tollway.spans AS
WITH
    -- (spelling, what it means): the hundreds are the meaning's number, by which the rest asks for it. A span may carry
    -- several vocabularies, so of one meaning the lowest number wins.
    [
        ('tollway.attempt.id', 100),  -- attempt_id
        ('tollway.tenant', 200),  -- tenant
        ('tollway.alias', 300),  -- alias
        ('tollway.tier', 400),  -- tier
        ('tollway.session', 500),  -- session
        ('tollway.request.id', 600),  -- request_id
        ('litellm.call_id', 700),  -- call_id
        ('tollway.upstream', 800),  -- upstream
        ('tollway.account', 900),  -- account
        ('tollway.region', 1000),  -- region
        ('tollway.quantization', 1100),  -- quantization
        ('tollway.pattern', 1200),  -- pattern
        ('tollway.attempt.index', 1300),  -- attempt_index
        ('tollway.attempts', 1400),  -- attempts
        ('tollway.attempt.outcome', 1500),  -- outcome
        ('tollway.operation.outcome', 1501),
        ('tollway.fallback.depth', 1600),  -- fallback_depth
        ('tollway.fallback.reason', 1700),  -- fallback_reason
        ('tollway.fallback.estimated_cost_usd', 1800),  -- estimated_cost
        ('tollway.usage.completeness', 1900),  -- completeness
        ('tollway.usage.raw', 2000),  -- usage_raw
        ('tollway.usage.cache_write_1h', 2100),  -- cache_write_1h
        ('tollway.rate_card', 2200),  -- rate_card
        ('tollway.cache.status', 2300),  -- cache_status
        ('tollway.queue.seconds', 2400),  -- queue_seconds
        ('tollway.request.bytes', 2500),  -- request_bytes
        ('gen_ai.operation.name', 2600),  -- operation
        ('llm.request.type', 2601),
        ('openinference.span.kind', 2602),
        ('ai.operationId', 2603),
        ('langfuse.observation.type', 2604),
        ('litellm.call_type', 2605),
        ('gen_ai.provider.name', 2700),  -- provider
        ('gen_ai.system', 2701),
        ('llm.provider', 2702),
        ('llm.system', 2703),
        ('ai.model.provider', 2704),
        ('gen_ai.request.model', 2800),  -- model
        ('llm.request.model_name', 2801),
        ('llm.model_name', 2802),
        ('ai.model.id', 2803),
        ('embedding.model_name', 2804),
        ('model', 2805),
        ('gen_ai.response.model', 2900),  -- response_model
        ('langfuse.observation.model.name', 2901),
        ('llm.response.model_name', 2902),
        ('llm.response.model', 2903),
        ('ai.response.model', 2904),
        ('litellm.provider.model', 3000),  -- upstream_model
        ('gen_ai.response.id', 3100),  -- response_id
        ('llm.response.id', 3101),
        ('ai.response.id', 3102),
        ('output.value', 3200),  -- answer
        ('gen_ai.response.finish_reasons', 3300),  -- finish_reason
        ('llm.finish_reason', 3301),
        ('ai.response.finishReason', 3302),
        ('langfuse.observation.metadata.finish_reason', 3303),
        ('gen_ai.request.stream', 3400),  -- stream
        ('gen_ai.request.is_stream', 3401),
        ('llm.is_streaming', 3402),
        ('litellm.request.streaming', 3403),
        ('gen_ai.is_streaming', 3404),
        ('llm.invocation_parameters', 3500),  -- parameters
        ('gen_ai.request.max_tokens', 3600),  -- max_tokens
        ('gen_ai.response.time_to_first_chunk', 3700),  -- first_token_s
        ('ai.response.msToFirstChunk', 3800),  -- first_token_ms
        ('langfuse.observation.completion_start_time', 3900),  -- first_token_at
        ('gen_ai.usage.input_tokens', 4000),  -- input
        ('gen_ai.usage.prompt_tokens', 4001),
        ('llm.token_count.prompt', 4002),
        ('llm.usage.prompt_tokens', 4003),
        ('ai.usage.inputTokens', 4004),
        ('ai.usage.promptTokens', 4005),
        ('ai.usage.tokens', 4006),
        ('gen_ai.usage.output_tokens', 4100),  -- output
        ('gen_ai.usage.completion_tokens', 4101),
        ('llm.token_count.completion', 4102),
        ('llm.usage.completion_tokens', 4103),
        ('ai.usage.outputTokens', 4104),
        ('ai.usage.completionTokens', 4105),
        ('gen_ai.usage.total_tokens', 4200),  -- total
        ('llm.usage.total_tokens', 4201),
        ('llm.token_count.total', 4202),
        ('ai.usage.totalTokens', 4203),
        ('gen_ai.client.token.usage', 4204),
        ('gen_ai.usage.cache_read.input_tokens', 4300),  -- cache_read
        ('gen_ai.usage.cache_read_input_tokens', 4301),
        ('gen_ai.usage.cache_read_tokens', 4302),
        ('gen_ai.usage.details.cache_read_tokens', 4303),
        ('gen_ai.usage.details.cache_read_input_tokens', 4304),
        ('gen_ai.usage.input_tokens.cached', 4305),
        ('gen_ai.usage.input_cached_tokens', 4306),
        ('llm.token_count.prompt_details.cache_read', 4307),
        ('llm.token_count.prompt_details.cache_input', 4308),
        ('ai.usage.cachedInputTokens', 4309),
        ('ai.usage.inputTokenDetails.cacheReadTokens', 4310),
        ('gen_ai.usage.cache_write.input_tokens', 4400),  -- cache_write
        ('gen_ai.usage.cache_creation.input_tokens', 4401),
        ('gen_ai.usage.cache_creation_input_tokens', 4402),
        ('gen_ai.usage.cache_write_tokens', 4403),
        ('gen_ai.usage.cache_write_input_tokens', 4404),
        ('gen_ai.usage.details.cache_write_tokens', 4405),
        ('gen_ai.usage.details.cache_creation_input_tokens', 4406),
        ('gen_ai.usage.input_cache_creation', 4407),
        ('llm.token_count.prompt_details.cache_write', 4408),
        ('ai.usage.inputTokenDetails.cacheWriteTokens', 4409),
        ('ai.response.providerMetadata', 4500),  -- metadata
        ('gen_ai.usage.reasoning.output_tokens', 4600),  -- reasoning
        ('gen_ai.usage.reasoning_tokens', 4601),
        ('gen_ai.usage.output_tokens.reasoning', 4602),
        ('gen_ai.usage.details.reasoning_tokens', 4603),
        ('llm.token_count.completion_details.reasoning', 4604),
        ('ai.usage.reasoningTokens', 4605),
        ('ai.usage.outputTokenDetails.reasoningTokens', 4606),
        ('langfuse.observation.usage_details', 4700),  -- usage_details
        ('metadata.usage_object', 4800),  -- usage_object
        ('gen_ai.usage.cost', 4900),  -- cost
        ('operation.cost', 4901),
        ('llm.cost.total', 4902),
        ('litellm.cost.total', 4903),
        ('gen_ai.cost.total_cost', 4904),
        ('langfuse.observation.cost_details', 5000),  -- cost_details
        ('litellm.team.id', 5100),  -- team
        ('litellm.team.alias', 5101),
        ('metadata.user_api_key_team_id', 5102),
        ('metadata.user_api_key_team_alias', 5103),
        ('litellm.api_key.hash', 5104),
        ('metadata.user_api_key_hash', 5105),
        ('session.id', 5200),  -- conversation
        ('gen_ai.conversation.id', 5201),
        ('langfuse.session.id', 5202),
        ('ai.telemetry.metadata.sessionId', 5203),
        ('traceloop.association.properties.session_id', 5204),
        ('user.id', 5300),  -- end_user
        ('langfuse.user.id', 5301),
        ('ai.telemetry.metadata.userId', 5302),
        ('gen_ai.request.user', 5303),
        ('gen_ai.openai.request.user', 5304),
        ('llm.user', 5305),
        ('traceloop.association.properties.user_id', 5306),
        ('litellm.end_user.id', 5307),
        ('metadata.user_api_key_end_user_id', 5308),
        ('error.type', 5400),  -- error_type
        ('http.response.status_code', 5500),  -- http_status
        ('http.status_code', 5501),
        ('server.address', 5600),  -- server_address
        ('server.port', 5700),  -- server_port
        ('user_agent.original', 5800),  -- user_agent
        ('tollway.route', 5900),  -- route
        ('tollway.tool_format', 6000),  -- tool_format
        ('tollway.batch.window_ms', 6100),  -- batch_window_ms
        ('tollway.batch.size', 6200),  -- batch_size
        ('tollway.batch.attempt_id', 6300),  -- shared_attempt_id
        ('tollway.cache.saved_usd', 6400),  -- saved
        ('openai.response.service_tier', 6500),  -- service_tier
        ('gen_ai.openai.response.service_tier', 6501),
        ('tollway.memory.pressure', 6600),  -- memory_pressure
        ('gen_ai.input.messages', 6700),  -- request_content
        ('gen_ai.output.messages', 6800),  -- response_content
        ('tollway.transition.scope', 6900),  -- transition_scope
        ('tollway.transition.failures', 7000),  -- transition_failures
        ('tollway.transition.open_seconds', 7100),  -- transition_open_seconds
        ('tollway.breaker.from', 7200),  -- breaker_from
        ('tollway.breaker.to', 7300),  -- breaker_to
        ('tollway.breaker.cause', 7400),  -- breaker_cause
        ('tollway.host', 7500),  -- host
        ('tollway.response.bytes', 7600),  -- response_bytes
        ('tollway.deployment', 7700),  -- deployment
        ('tollway.usage.modality', 7800),  -- modality
        ('tollway.answer.fault', 7900),  -- answer_fault
        ('tollway.feedback.verdict', 8000),  -- feedback_verdict
        ('tollway.feedback.reason', 8100),  -- feedback_reason
        ('tollway.feedback.score', 8200)  -- feedback_score
    ] AS spellings,
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
    '\\.(chat|responses|completion|embedding|textembedding|messages|image|speech|transcription)$' AS provider_api,
    -- One call of a model, in the words of each vocabulary. What has usage and another word repeats the usage of others.
    ['chat', 'request', 'text_completion', 'generate_content', 'embeddings', 'completion', 'embedding', 'rerank', 'reranker', 'llm',
     'generation', 'responses', 'image_generation', 'transcription', 'speech', 'moderation', 'acompletion', 'aembedding',
     'atext_completion', 'aresponses', 'arerank', 'aimage_generation', 'atranscription', 'aspeech', 'amoderation',
     'anthropic_messages', 'agenerate_content', 'ai.generatetext.dogenerate', 'ai.streamtext.dostream',
     'ai.generateobject.dogenerate', 'ai.streamobject.dostream', 'ai.embed.doembed', 'ai.embedmany.doembed'] AS call_names,
    ['invoke_agent', 'create_agent', 'invoke_workflow', 'agent', 'chain', 'workflow', 'agent_step', 'plan'] AS parent_names,
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
    multiIf(w[2] != '', w[2], is_foreign, w[51], '') AS claimed_tenant,
    owner AS tenant,
    w[3] AS alias,
    w[4] AS tier,
    multiIf(w[5] != '', w[5],
            conversation != '',
            substring(lower(hex(SHA256(concat(owner, '\0', conversation)))), 1, 32), '') AS session,
    multiIf(has_told_request, '', w[6] != '', w[6], w[7]) AS request_id,
    w[8] AS upstream,
    if(own_id != '' OR own_scope != '', w[27],
       transform(bare_provider, provider_spellings.1, provider_spellings.2, bare_provider)) AS provider,
    w[9] AS account,
    w[10] AS region,
    w[11] AS quantization,
    w[12] AS pattern,
    w[26] AS operation,
    asked_model AS model,
    w[29] AS response_model,
    -- LiteLLM gives its own call id where the vendor gave none; OpenInference leaves the id in the answer.
    multiIf(said_id != '' AND said_id = w[7], '',
            said_id != '', said_id,
            answer != '', JSONExtractString(answer, 'id'), '') AS response_id,
    toUInt16OrZero(w[13]) AS attempt_index,
    toUInt16OrZero(w[14]) AS attempts,
    multiIf(w[15] != '', w[15], span.status.code = 2, 'error', 'ok') AS outcome,
    toUInt8OrZero(w[16]) AS fallback_depth,
    w[17] AS fallback_reason,
    toDecimal128OrNull(w[18], 18) AS estimated_cost_usd,
    if(given, n[1] - n[3] - n[4], 0) AS input_uncached,
    if(given, n[3], 0) AS cache_read,
    if(given, n[4] - n[5], 0) AS cache_write_5m,
    if(given, n[5], 0) AS cache_write_1h,
    if(given, n[2] - n[6], 0) AS output,
    if(given, n[6], 0) AS reasoning,
    known AS completeness,
    contradictory AS usage_invalid,
    multiIf(
        w[20] != '', w[20],
        is_foreign AND counted, toJSONString(mapFromArrays(
            ['input', 'output', 'cache_read', 'cache_write', 'cache_write_1h', 'reasoning', 'total'],
            said)),
        '') AS usage_raw,
    w[22] AS rate_card,
    w[23] AS cache_status,
    toFloat64OrZero(w[24]) AS queue_seconds,
    coalesce(toFloat64OrNull(w[37]),
             toFloat64OrNull(w[38]) / 1000,
             if(w[39] = '', NULL, dateDiff('microsecond', started_at,
                parseDateTime64BestEffortOrNull(trim(BOTH '"' FROM w[39]), 6, 'UTC')) / 1e6)
    ) AS first_token_seconds,
    if(w[34] = '' AND parameters != '', JSONExtractBool(parameters, 'stream'),
       lower(w[34]) IN ('true', '1')) AS stream,
    -- Some send a list, or a text, as JSON.
    multiIf(own_id != '', finished,  -- Other emitters send a list, or JSON of one.
            startsWith(finished, '['), JSONExtractString(finished, 1),
            startsWith(finished, '"'), trim(BOTH '"' FROM finished), finished) AS finish_reason,
    w[54] AS error_type,
    toUInt16OrZero(w[55]) AS http_status,
    w[56] AS server_address,
    toUInt16OrZero(w[57]) AS server_port,
    w[58] AS user_agent,
    toUInt64OrZero(w[25]) AS request_bytes,
    toUInt64OrZero(w[36]) AS max_output_tokens,
    span.kind = 3 AND own_id != '' AND outcome != 'refused' AS billable,
    service,
    batch_id,
    fromUnixTimestamp64Milli(received_at_ms, 'UTC') AS received_at,
    sender,
    w[59] AS route,
    w[60] AS tool_format,
    toUInt32OrZero(w[61]) AS batch_window_ms,
    if(own_id = '', 0, greatest(toUInt32OrZero(w[62]), 1)) AS batch_size,
    w[63] AS shared_attempt_id,
    toDecimal128OrNull(w[64], 18) AS saved_usd,
    w[65] AS service_tier,
    w[66] AS memory_pressure,
    w[77] AS deployment,
    w[78] AS modality,
    -- Only the gateway's, whose tiers say what may be kept; what applications send of their prompts stays out.
    if(own_id = '', '', w[67]) AS request_content,
    if(own_id = '', '', w[68]) AS response_content,
    own_scope AS transition_scope,
    if(own_scope = '', '', w[72]) AS breaker_from,
    if(own_scope = '', '', w[73]) AS breaker_to,
    if(own_scope = '', '', w[74]) AS breaker_cause,
    if(own_scope = '', 0, toUInt32OrZero(w[70])) AS transition_failures,
    if(own_scope = '', NULL, toFloat64OrNull(w[71])) AS transition_open_seconds,
    multiIf(
        NOT is_foreign, '',
        operation_word IN call_names, 'call',
        operation_word = '' AND counted AND asked_model != '', 'call',
        counted OR operation_word IN parent_names, 'parent',
        'other') AS foreign_role,
    w[30] AS upstream_model,
    if(user != '', substring(lower(hex(SHA256(concat(owner, '\0', user)))), 1, 32), '') AS end_user,
    if(is_foreign, toDecimal128OrNull(
        if(w[49] != '', w[49],
           JSONExtractRaw(w[50], 'total')), 18), NULL) AS emitter_cost_usd,
    if(own_id = '', '', w[75]) AS host,
    if(own_id = '', 0, toUInt64OrZero(w[76])) AS response_bytes,
    if(own_id = '', '', w[79]) AS answer_fault,
    own_verdict AS feedback_verdict,
    if(own_verdict = '', '', w[81]) AS feedback_reason,
    if(own_verdict = '', NULL, toFloat64OrNull(w[82])) AS feedback_score,
    toUInt8(has_told_id) + if(has_told_request, if(span.kind = 2, 4, 2), 0) AS derived
FROM
( -- read
SELECT
    *,
    arrayMax(n) > count_max
        OR n[3] + n[4] > n[1]
        OR n[6] > n[2]
        OR n[5] > n[4]
        -- A total that its parts do not make: cached tokens left out of the input, thoughts left out of the output.
        OR (said[7] != '' AND counted AND n[7] != n[1] + n[2])
        OR (claimed = 'measured' AND NOT counted) AS contradictory,
    multiIf(
        contradictory OR NOT counted, 'unknown',
        is_foreign AND span.status.code = 2 AND n[1] + n[2] = 0, 'unknown',  -- a failure, which nobody measured
        claimed IN ('measured', 'estimated'), claimed,
        claimed = '', 'measured',
        'unknown') AS known,
    known != 'unknown' AS given,
    multiIf(w[28] != '', w[28],
            parameters != '', JSONExtractString(parameters, 'model'), '') AS asked_model
FROM
( -- counted_up
SELECT
    *,
    arrayMap(x -> ifNull(toUInt64OrNull(if(position(x, '.') = 0, x, replaceRegexpOne(x, '\\.0+$', ''))),
                         if(x = '', 0, count_max + 1)), said) AS n,
    said[1] != '' OR said[2] != '' AS counted
FROM
( -- filled
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
    if(document = '' AND metadata = '', attributed, arrayMap(
        (attribute, i) -> multiIf(attribute != '', attribute, i = 4 AND written[1] != '', written[1],
                                  i = 4 AND written[2] != '', written[2], i = 5 AND written[3] != '', written[3], other[i]),
        attributed, [1, 2, 3, 4, 5, 6, 7])) AS said
FROM
( -- documented
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
         JSONExtractRaw(metadata, 'anthropic', 'usage', 'cache_creation', 'ephemeral_1h_input_tokens')])) AS written
FROM
( -- named
SELECT
    *,
    w[19] AS claimed,
    lower(w[26]) AS operation_word,
    w[31] AS said_id,
    w[33] AS finished,
    if(is_foreign, w[35], '') AS parameters,
    if(is_foreign, w[32], '') AS answer,
    if(is_foreign, w[45], '') AS metadata,
    if(is_foreign, w[52], '') AS conversation,
    if(is_foreign, w[53], '') AS user,
    replaceRegexpOne(lower(w[27]), provider_api, '') AS bare_provider,
    -- Usage in one document: Langfuse's, or a vendor's as Python prints it, from LiteLLM.
    multiIf(NOT is_foreign, '',
            w[47] != '', w[47],
            replaceAll(replaceAll(w[48], '\'', '"'), 'None', 'null')) AS document,
    -- Input, output, cache read, cache write, cache write of an hour, reasoning, total.
    [w[40], w[41], w[43], w[44], w[21], w[46], if(is_foreign, w[42], '')] AS attributed
FROM
( -- owned
SELECT
    *,
    -- Only a gateway says what an attempt is: a sender bound to a tenant cannot add to what a vendor may bill.
    if(bound_tenant = '', w[1], '') AS own_id,
    -- Likewise of a breaker that moved.
    if(bound_tenant = '', w[69], '') AS own_scope,
    -- And of what a tenant said of an answer.
    if(bound_tenant = '', w[80], '') AS own_verdict,
    own_id = '' AND own_scope = '' AND own_verdict = ''
        AND NOT (bound_tenant = '' AND span.kind = 2
                 AND arrayExists(k -> startsWith(k, 'tollway.'), span.attributes.key)) AS is_foreign,
    if(bound_tenant != '', bound_tenant, w[2]) AS owner,
    lower(hex(span.trace_id)) AS trace,
    lower(hex(span.span_id)) AS own_span,
    lower(hex(span.parent_span_id)) AS parent_span,
    -- What the views make again of the other ids is not stored.
    own_id != '' AND own_id = concat(substring(trace, 1, 16), own_span) AS has_told_id,
    NOT is_foreign AND w[6] = concat('req_', substring(trace, 25), if(span.kind = 2, own_span, parent_span)) AS has_told_request
FROM
( -- sorted
SELECT
    batch_id, sender, bound_tenant, received_at_ms, span, service,
    -- Only then does the order matter; what no vocabulary knows ends in 35.
    arrayExists(code -> code % 100 BETWEEN 1 AND 34, codes) AS is_mixed,
    CAST((arrayMap(code -> intDiv(code, 100), if(is_mixed, arraySort(codes), codes)),
          if(is_mixed, arraySort((text, code) -> code, texts, codes), texts)), 'Map(UInt16, String)') AS w
FROM
( -- opened
SELECT
    batch_id, sender, bound_tenant, received_at_ms,
    pair.1 AS span,
    pair.2 AS service,
    arrayMap(a -> coalesce(
        a.value.string_value, toString(a.value.int_value), toString(a.value.double_value),
        toString(a.value.bool_value), a.value.array_value.values[1].string_value), span.attributes) AS texts,
    -- An empty text says nothing, so a lower spelling may.
    arrayMap((k, text) -> if(text = '', 65535, transform(k, spellings.1, spellings.2, 65535)),
             span.attributes.key, texts) AS codes
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
) AS opened
) AS sorted
) AS owned
) AS named
) AS documented
) AS filled
) AS counted_up
) AS read;
