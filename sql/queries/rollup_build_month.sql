-- Writes the cells of a month beside the table they are for, summed from those of its days.
INSERT INTO tollway.rollup_months_next
    (at, tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id, requests,
     told_later, attempts, refused, errors, timeouts, cancelled, lost, input_uncached, cache_read, cache_write_5m,
     cache_write_1h, output, reasoning, cost_usd, partial_cost_usd, cache_saving_usd, unmeasured, unpriced, queue_us,
     duration_hist, first_token_hist, rated_by, received_first, received_last)
SELECT
    toStartOfMonth(c.at) AS begins,
    tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id,
    sum(c.requests), sum(c.told_later), sum(c.attempts), sum(c.refused), sum(c.errors), sum(c.timeouts), sum(c.cancelled),
    sum(c.lost), sum(c.input_uncached), sum(c.cache_read), sum(c.cache_write_5m), sum(c.cache_write_1h), sum(c.output),
    sum(c.reasoning), sum(c.cost_usd), sum(c.partial_cost_usd), sum(c.cache_saving_usd), sum(c.unmeasured),
    sum(c.unpriced), sum(c.queue_us), sumForEach(c.duration_hist), sumForEach(c.first_token_hist),
    {rated_by:UInt64}, min(c.received_first), max(c.received_last)
FROM tollway.rollup_days AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
GROUP BY begins, tenant, alias, tier, upstream, provider, account, region, model, fallback_depth, fallback_reason, card_id
