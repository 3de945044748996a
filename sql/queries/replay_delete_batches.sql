-- Deletes the spans of these batches, which were received on that day; they are gone, on every replica, when it returns.
DELETE FROM {facts:Identifier}.spans
IN PARTITION {day:String}
WHERE batch_id IN {batch_ids:Array(String)}
SETTINGS lightweight_deletes_sync = 2, mutations_sync = 2
