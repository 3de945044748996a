-- Each attempt as a cell of its own: what rollups sum, and what is read where there is no rollup yet. A request counts with
-- its first attempt, each member of a micro-batch as one. What is `unfinished` counts unless tollway.told_later has its end.
CREATE OR REPLACE VIEW tollway.rollup_facts {on_cluster} AS
WITH (completeness = 'measured') AS measured
SELECT
    started_at AS at,
    tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id,
    trace_id, parent_span_id, received_at, unfinished,
    if(attempt_index = 0, toUInt64(batch_size), 0) AS requests,
    toUInt64(billable) AS attempts,
    toUInt64(NOT billable) AS refused,
    toUInt64(billable AND outcome = 'error') AS errors,
    toUInt64(billable AND outcome = 'timeout') AS timeouts,
    toUInt64(billable AND outcome = 'cancelled') AS cancelled,
    toUInt64(billable AND outcome = 'lost') AS lost,
    if(measured, rated.input_uncached, 0) AS input_uncached,
    if(measured, rated.cache_read, 0) AS cache_read,
    if(measured, rated.cache_write_5m, 0) AS cache_write_5m,
    if(measured, rated.cache_write_1h, 0) AS cache_write_1h,
    if(measured, rated.output, 0) AS output,
    if(measured, rated.reasoning, 0) AS reasoning,
    ifNull(rated.cost_usd, toDecimal128(0, 18)) AS cost_usd,
    ifNull(rated.partial_cost_usd, toDecimal128(0, 18)) AS partial_cost_usd,
    rated.cache_saving_usd AS cache_saving_usd,
    toUInt64(rated.unmeasured) AS unmeasured,
    toUInt64(billable AND measured AND rated.unpriced) AS unpriced,
    if(attempt_index = 0, ifNull(accurateCastOrNull(round(queue_seconds * 1000000), 'UInt64'), 0), 0) AS queue_us,
    if(duration_bucket IS NULL, [],
       arrayPushBack(arrayWithConstant(assumeNotNull(duration_bucket), toUInt64(0)), toUInt64(1))) AS duration_hist,
    if(first_token_bucket IS NULL, [],
       arrayPushBack(arrayWithConstant(assumeNotNull(first_token_bucket), toUInt64(0)), toUInt64(1))) AS first_token_hist
FROM tollway.rated_attempts AS rated;
