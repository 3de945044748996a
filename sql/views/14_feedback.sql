-- What tenants said of the answers to their requests: the last said of each counts. The parent is the request's span.
CREATE OR REPLACE VIEW tollway.feedback {on_cluster} AS
SELECT
    tenant,
    trace_id,
    parent_span_id,
    tupleElement(said, 1) AS at,
    tupleElement(said, 3) AS verdict,
    tupleElement(said, 4) AS reason,
    tupleElement(said, 5) AS score,
    tupleElement(said, 6) AS alias,
    tupleElement(said, 7) AS tier,
    tupleElement(said, 8) AS request_id,
    tupleElement(said, 9) AS response_id
FROM
(
    SELECT
        tenant, trace_id, parent_span_id,
        -- A request's id that is made of others is not stored: 2_attempts.sql.
        argMax((started_at, span_id, feedback_verdict, feedback_reason, feedback_score, alias, tier,
                if(bitAnd(derived, 6) != 0, concat('req_', substring(trace_id, 25), parent_span_id), request_id), response_id),
               (started_at, span_id)) AS said
    FROM tollway.spans
    WHERE kind = 1 AND feedback_verdict != ''
    GROUP BY tenant, trace_id, parent_span_id
);
