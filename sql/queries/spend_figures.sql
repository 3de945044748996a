-- The totals of a window, in one row, which is all zeros without traffic. Empty arrays mean all.
SELECT
    uniqExact(trace_id, parent_span_id)                                         AS requests,
    countIf(billable)                                                           AS attempts,
    sumIf(rated.input_uncached, completeness = 'measured')                      AS input_uncached,
    sumIf(rated.cache_read, completeness = 'measured')                          AS cache_read,
    sumIf(rated.cache_write_5m, completeness = 'measured')                      AS cache_write_5m,
    sumIf(rated.cache_write_1h, completeness = 'measured')                      AS cache_write_1h,
    sumIf(rated.output, completeness = 'measured')                              AS output,
    sumIf(rated.reasoning, completeness = 'measured')                           AS reasoning,
    sum(ifNull(rated.cost_usd, toDecimal128(0, 18)))                            AS cost_usd,
    sum(ifNull(rated.partial_cost_usd, toDecimal128(0, 18)))                    AS partial_cost_usd,
    countIf(rated.unmeasured)                                                   AS unmeasured,
    countIf(billable AND completeness = 'measured' AND rated.unpriced)          AS unpriced,
    sum(if(fallback_depth > 0, ifNull(rated.cost_usd, toDecimal128(0, 18)), toDecimal128(0, 18))) AS fallback_cost_usd,
    countIf(billable AND outcome = 'cancelled')                                 AS cancelled
FROM tollway.rated_attempts AS rated
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
  AND (empty({aliases:Array(String)}) OR has({aliases:Array(String)}, alias))
  AND (empty({providers:Array(String)}) OR has({providers:Array(String)}, provider))
  AND (empty({accounts:Array(String)}) OR has({accounts:Array(String)}, account))
  -- A response that was left to run or whose stream was cut: what the vendor told later, when it was looked at, is what it
  -- bills. A look sent no request, by which it is known.
  AND NOT ((finish_reason IN ('queued', 'in_progress') OR outcome = 'lost') AND (trace_id, parent_span_id, upstream) IN (
      SELECT trace_id, parent_span_id, upstream
      FROM tollway.attempts
      WHERE route = '/v1/responses' AND request_bytes = 0 AND completeness = 'measured'
        AND started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY))
