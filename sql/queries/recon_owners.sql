-- As recon_attempts, by who caused the attempts: what an invoiced amount is given back by.
SELECT
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    provider,
    account,
    model,
    toDate(started_at, 'UTC')                AS day,
    outcome,
    completeness,
    NOT unpriced                             AS priced,
    card_id,
    count()                                  AS attempts,
    countIf(rated.unmeasured)                AS unmeasured,
    sum(rated.input_uncached)                AS input_uncached,
    sum(rated.cache_read)                    AS cache_read,
    sum(rated.cache_write_5m)                AS cache_write_5m,
    sum(rated.cache_write_1h)                AS cache_write_1h,
    sum(rated.output)                        AS output,
    sum(rated.reasoning)                     AS reasoning,
    sum(rated.cost_usd)                      AS cost_usd,
    sum(rated.request_bytes)                 AS request_bytes,
    sum(least(if(max_output_tokens = 0, {output_ceiling:UInt64}, max_output_tokens), 1000000)) AS output_ceiling,
    groupArraySorted(5)(attempt_id)          AS attempt_ids
FROM tollway.rated_attempts AS rated
WHERE billable
  AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
  -- A response that was left to run or whose stream was cut: what the vendor told later, when it was looked at, is what it
  -- bills. A look sent no request, by which it is known.
  AND NOT ((finish_reason IN ('queued', 'in_progress') OR outcome = 'lost') AND (trace_id, parent_span_id, upstream) IN (
      SELECT trace_id, parent_span_id, upstream
      FROM tollway.attempts
      WHERE route = '/v1/responses' AND request_bytes = 0 AND completeness = 'measured'
        AND started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY))
GROUP BY tenant, alias, tier, fallback_depth, fallback_reason,
         provider, account, model, day, outcome, completeness, priced, card_id
ORDER BY tenant, alias, tier, fallback_depth, fallback_reason,
         provider, account, model, day, outcome, completeness, priced, card_id
