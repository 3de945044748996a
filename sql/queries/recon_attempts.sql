-- The attempts of a window that a vendor may bill, by account, model, UTC day, processing tier, region, how they ended and
-- the card that rated them, and where `by_owner` is asked for by who caused them: what a reconciliation takes for evidence,
-- and what an invoiced amount is given back by. Only groups with attempts have a row. Where `unmetered_only` is asked for,
-- those that are not metered: without the vendor's final usage, or of a `provider/model` in `unpriced` and without a price.
SELECT
    if({by_owner:Bool}, rated.tenant, '')          AS tenant,
    if({by_owner:Bool}, rated.alias, '')           AS alias,
    if({by_owner:Bool}, rated.tier, '')            AS tier,
    if({by_owner:Bool}, rated.fallback_depth, 0)   AS fallback_depth,
    if({by_owner:Bool}, rated.fallback_reason, '') AS fallback_reason,
    provider,
    account,
    model,
    toDate(started_at, 'UTC')        AS day,
    if(service_tier IN ('batch', 'flex', 'priority'), service_tier, '') AS processing_tier,
    region,
    outcome,
    completeness,
    NOT unpriced                     AS priced,
    card_id,
    count()                          AS attempts,
    countIf(rated.unmeasured)        AS unmeasured,
    sum(rated.input_uncached)        AS input_uncached,
    sum(rated.cache_read)            AS cache_read,
    sum(rated.cache_write_5m)        AS cache_write_5m,
    sum(rated.cache_write_1h)        AS cache_write_1h,
    sum(rated.output)                AS output,
    sum(rated.reasoning)             AS reasoning,
    sum(rated.cost_usd)              AS cost_usd,
    sum(rated.request_bytes)         AS request_bytes,
    -- A bound that no answer reaches proves nothing: none is taken for more than a million tokens.
    sum(least(if(max_output_tokens = 0, {output_ceiling:UInt64}, max_output_tokens), 1000000)) AS output_ceiling,
    groupArraySorted(5)(attempt_id)  AS attempt_ids
FROM tollway.rated_attempts AS rated
WHERE billable
  AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
  AND (NOT {unmetered_only:Bool} OR completeness != 'measured'
       OR (notEmpty({unpriced:Array(String)}) AND has({unpriced:Array(String)}, concat(provider, '/', model))
           AND rated.unpriced))
  -- A response that was left to run or whose stream was cut: what the vendor told later, when it was looked at, is what it
  -- bills. Where nothing was told later the engine sees it first, and reads no ids.
  AND ((SELECT count()
        FROM tollway.told_later
        WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
          AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY) = 0
      OR NOT ((finish_reason IN ('queued', 'in_progress') OR outcome = 'lost') AND (trace_id, parent_span_id, upstream) IN (
      SELECT trace_id, parent_span_id, upstream
      FROM tollway.told_later
      WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY)))
GROUP BY tenant, alias, tier, fallback_depth, fallback_reason,
         provider, account, model, day, processing_tier, region, outcome, completeness, priced, card_id
ORDER BY tenant, alias, tier, fallback_depth, fallback_reason,
         provider, account, model, day, processing_tier, region, outcome, completeness, priced, card_id
