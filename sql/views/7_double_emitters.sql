-- Calls that more than one span reports as its own, under whatever span ids: who sends what twice.
CREATE OR REPLACE VIEW tollway.double_emitters {on_cluster} AS
SELECT
    provider, response_id, tenant, min(started_at) AS first_at, count() AS copies,
    arraySort(groupUniqArray(service)) AS services, arraySort(groupUniqArray(sender)) AS senders,
    arraySort(groupUniqArray(name)) AS names
FROM tollway.spans
WHERE foreign_role = 'call' AND kind < 128 AND response_id != ''
GROUP BY provider, response_id, tenant
HAVING uniqExact(trace_id, span_id) > 1;
