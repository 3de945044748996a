-- How many spans of each of these batches this server has landed, and how many of them are hidden still, for they are to take
-- others' place; one of which it has none has no row.
SELECT batch_id, count() AS spans, countIf(kind >= 128) AS hidden
FROM {facts:Identifier}.spans
WHERE batch_id IN {batch_ids:Array(String)}
GROUP BY batch_id
ORDER BY batch_id
