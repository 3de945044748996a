-- Batches whose rows give way to others of the same spans, made by another mapping: a row for each UTC day in which spans of
-- one began. What is derived from the facts of such a day is derived again.
CREATE TABLE IF NOT EXISTS tollway.replays {on_cluster}
(
    day         Date,
    batch_id    String,                   -- of the new rows
    replaced    String,                   -- of the old ones, which are gone
    spans       UInt64,
    replayed_at DateTime64(3, 'UTC')
)
ENGINE = {engine}
ORDER BY (day, batch_id);
