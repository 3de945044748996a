-- Breakers that moved (scope breaker), and regions that browned out or recovered (scope region; their upstream is '').
CREATE OR REPLACE VIEW tollway.transitions {on_cluster} AS
SELECT
    started_at AS at, tenant, alias, tier, upstream, provider, region, transition_scope AS scope, breaker_from, breaker_to,
    breaker_cause, transition_failures AS failures, transition_open_seconds AS open_seconds, trace_id, span_id,
    parent_span_id, service, batch_id, received_at, sender
FROM tollway.spans
WHERE kind = 1 AND transition_scope != '';
