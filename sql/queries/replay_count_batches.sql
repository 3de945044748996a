-- How many spans of each of these batches this server has landed; one of which it has none has no row.
SELECT batch_id, count() AS spans
FROM {facts:Identifier}.spans
WHERE batch_id IN {batch_ids:Array(String)}
GROUP BY batch_id
ORDER BY batch_id
