-- Takes the rows of batches that were received on a day out of sight and brings those that take their place into it: one
-- mutation, which the server carries out to its end whatever becomes of who asked for it. `kind` + 128 is what hides a row.
ALTER TABLE {facts:Identifier}.spans
    UPDATE _row_exists = 0 IN PARTITION {day:String} WHERE batch_id IN {old:Array(String)},
    UPDATE kind = kind - 128 IN PARTITION {day:String} WHERE batch_id IN {new:Array(String)} AND kind >= 128
SETTINGS mutations_sync = 2
