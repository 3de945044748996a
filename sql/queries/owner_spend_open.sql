-- The same from the facts, for a slice that no rollup answers for.
SELECT
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    sum(c.cost_usd)                                 AS token_cost,
    toDecimal128(sum(c.queue_us), 6) / 1000000      AS queue_seconds,
    sum(c.unpriced)                                 AS unpriced
FROM tollway.rollup_facts AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
  AND NOT (unfinished AND (trace_id, parent_span_id, upstream) IN (
      SELECT trace_id, parent_span_id, upstream
      FROM tollway.told_later
      WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
        AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY))
GROUP BY tenant, alias, tier, fallback_depth, fallback_reason
ORDER BY tenant, alias, tier, fallback_depth, fallback_reason
