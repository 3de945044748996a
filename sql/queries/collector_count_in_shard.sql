-- Of one batch, what the shard asked has itself, by the replica asked: its spans, and those that claim a tenant other than the
-- one their sender is bound to.
SELECT count() AS spans, countIf(claimed_tenant NOT IN ('', tenant)) AS claimed
FROM tollway_shard.spans
WHERE batch_id = {batch_id:String}
