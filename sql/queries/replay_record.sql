-- Records that the rows of these batches replaced those of others, by the days in which their spans began.
INSERT INTO tollway.replays
SELECT
    toDate(started_at, 'UTC') AS day, batch_id,
    transform(batch_id, {batch_ids:Array(String)}, {replaced:Array(String)}, '') AS replaced,
    count() AS spans, {now:DateTime64(3, 'UTC')} AS replayed_at
FROM tollway.spans
WHERE batch_id IN {batch_ids:Array(String)}
GROUP BY day, batch_id
