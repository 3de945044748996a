-- What a request's ladder did beyond its first choice: a rung decided against (refused, for `reason`), or another call, of a
-- rung further down (taken) or of the first again (retried); `because` is why the ladder came to that rung. A request that
-- was answered by its first choice has no row.
CREATE OR REPLACE VIEW tollway.ladder_events {on_cluster} AS
SELECT
    started_at AS at, tenant, alias, tier, request_id, session, attempt_index, fallback_depth,
    multiIf(outcome = 'refused', 'refused', fallback_depth > 0, 'taken', 'retried') AS event,
    if(outcome = 'refused', error_type, fallback_reason) AS reason,
    fallback_reason AS because, upstream, provider, account, region, model, estimated_cost_usd,
    if(outcome = 'refused', '', outcome) AS ended, attempt_id, trace_id, parent_span_id, batch_id, received_at
FROM tollway.attempts
WHERE outcome = 'refused' OR fallback_depth > 0 OR attempt_index > 0;
