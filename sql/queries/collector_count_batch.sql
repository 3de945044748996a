-- The spans of one batch that this server has landed, by tenant, and how many of each claim another tenant than the one their
-- sender is bound to. No rows or the whole batch: a batch is one block of one partition.
SELECT tenant, count() AS spans, countIf(claimed_tenant NOT IN ('', tenant)) AS claimed
FROM {facts:Identifier}.spans
WHERE batch_id = {batch_id:String}
GROUP BY tenant
ORDER BY tenant
