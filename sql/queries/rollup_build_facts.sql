-- Writes the cells of one grain (hour or day) beside the table they are for, summed from the facts of a window.
INSERT INTO tollway.{next:Identifier}
    (at, tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id, requests,
     told_later, attempts, refused, errors, timeouts, cancelled, lost, input_uncached, cache_read, cache_write_5m,
     cache_write_1h, output, reasoning, cost_usd, partial_cost_usd, cache_saving_usd, unmeasured, unpriced, queue_us,
     duration_hist, first_token_hist, rated_by, received_first, received_last)
WITH
    NOT (unfinished AND (trace_id, parent_span_id, upstream) IN (
        SELECT trace_id, parent_span_id, upstream
        FROM tollway.told_later
        WHERE started_at >= {since:DateTime64(9, 'UTC')} - INTERVAL 1 DAY
          AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY)) AS counts
SELECT
    toDateTime(dateTrunc({grain:String}, c.at, 'UTC'), 'UTC') AS begins,
    tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id,
    sumIf(c.requests, counts), countIf(NOT counts), sumIf(c.attempts, counts), sumIf(c.refused, counts),
    sumIf(c.errors, counts), sumIf(c.timeouts, counts), sumIf(c.cancelled, counts), sumIf(c.lost, counts),
    sumIf(c.input_uncached, counts), sumIf(c.cache_read, counts), sumIf(c.cache_write_5m, counts),
    sumIf(c.cache_write_1h, counts), sumIf(c.output, counts), sumIf(c.reasoning, counts), sumIf(c.cost_usd, counts),
    sumIf(c.partial_cost_usd, counts), sumIf(c.cache_saving_usd, counts), sumIf(c.unmeasured, counts),
    sumIf(c.unpriced, counts), sumIf(c.queue_us, counts), sumForEachIf(c.duration_hist, counts),
    sumForEachIf(c.first_token_hist, counts), {rated_by:UInt64},
    min(toDate(c.received_at, 'UTC')), max(toDate(c.received_at, 'UTC'))
FROM tollway.rollup_facts AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
GROUP BY begins, tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id
