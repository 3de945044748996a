-- How many spans of each of these batches are in the store; one of which there are none has no row.
SELECT batch_id, count() AS spans
FROM tollway.spans
WHERE batch_id IN {batch_ids:Array(String)}
GROUP BY batch_id
ORDER BY batch_id
