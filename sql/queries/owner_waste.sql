-- Attempts of a window that bought nothing, by who made them, kind and cause; each attempt once.
--   dual    given up for another call of its request: `hedge` beside one, else by what was called next
--   rework  the upstream answered and it was no good, so another call was made: the cause is its reason; or the answer was
--           delivered and had not the shape that was asked for: the cause is its fault; or its tenant said that it was bad or to be
--           made again: the cause is the feedback
-- What the client gave up, and what no other call followed, was made again by nobody. An attempt that no vendor bills (an
-- error answer, a connection that never was) cost nothing and is not here.
SELECT
    tenant,
    alias,
    tier,
    fallback_depth,
    fallback_reason,
    multiIf(by_hedge OR outcome = 'timeout', 'dual', 'rework')      AS kind,
    multiIf(by_hedge, 'hedge',
            answer_fault != '', answer_fault,
            outcome = 'ok', concat('feedback_', f.verdict, if(f.reason = '', '', concat(':', f.reason))),
            outcome != 'timeout', error_type,
            next.2 = fallback_depth, 'retry', 'fallback')           AS cause,
    count()                                                         AS attempts,
    sum(usd)                                                        AS usd,
    countIf(no_final_usage)                                         AS unmeasured
FROM
(
    SELECT
        c.*,
        arrayFirst(x -> x.1 > attempt_index, o.others) AS next,
        -- It ran beside another: it was hung up on for it, or it was the hedge and the other one answered.
        error_type = 'hedge_lost'
            OR (fallback_reason = 'hedge' AND next.1 = 0 AND arrayExists(x -> x.3 = 'ok', o.others)) AS by_hedge
    FROM
    (
        SELECT
            trace_id, parent_span_id, tenant, alias, tier, fallback_depth, fallback_reason, attempt_index, outcome,
            error_type, answer_fault,
            toDecimal128(coalesce(cost_usd, partial_cost_usd, toDecimal128(0, 18)), 18) AS usd,
            unmeasured AS no_final_usage
        FROM tollway.rated_attempts
        WHERE billable AND (no_final_usage OR usd > 0)
          AND (outcome IN ('error', 'timeout', 'cancelled') OR answer_fault != ''
               OR (outcome = 'ok' AND (trace_id, parent_span_id) IN (
                   SELECT trace_id, parent_span_id FROM tollway.feedback WHERE verdict != 'good')))
          AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
    ) AS c
    LEFT JOIN
    (
        SELECT
            trace_id, parent_span_id,
            arraySort(groupArray((attempt_index, fallback_depth, outcome))) AS others
        FROM tollway.attempts
        WHERE billable
          AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')} + INTERVAL 1 DAY
          AND (trace_id, parent_span_id) IN (
              SELECT trace_id, parent_span_id
              FROM tollway.attempts
              WHERE billable AND outcome IN ('error', 'timeout', 'cancelled')
                AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')})
        GROUP BY trace_id, parent_span_id
    ) AS o ON c.trace_id = o.trace_id AND c.parent_span_id = o.parent_span_id
) AS told
LEFT JOIN tollway.feedback AS f ON told.trace_id = f.trace_id AND told.parent_span_id = f.parent_span_id
WHERE by_hedge OR outcome = 'ok' OR (outcome IN ('error', 'timeout') AND next.1 > 0)
GROUP BY tenant, alias, tier, fallback_depth, fallback_reason, kind, cause
ORDER BY tenant, alias, tier, fallback_depth, fallback_reason, kind, cause
