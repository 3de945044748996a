-- How many spans of one batch claim a tenant other than the one their sender is bound to; a span that claims none is not one.
SELECT countIf(claimed_tenant NOT IN ('', tenant)) AS spans
FROM tollway.spans
WHERE batch_id = {batch_id:String}
