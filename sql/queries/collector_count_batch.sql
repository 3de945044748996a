-- How many spans of one batch are in the store: 0 or the whole batch, for a batch is one block of one partition.
SELECT count() AS spans
FROM tollway.spans
WHERE batch_id = {batch_id:String}
