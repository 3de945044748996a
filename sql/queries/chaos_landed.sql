-- Every span of one tenant by its ids, to be held against the ledger of whoever sent it; one row a span.
SELECT concat(trace_id, span_id) AS ids
FROM tollway.spans
WHERE tenant = {tenant:String} AND kind < 128
