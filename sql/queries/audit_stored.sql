-- How many spans the store has of each batch that was received since an instant, and of those named. Rows that a replay made
-- anew bear the name of their batch with ~ and a number behind it, and count as that batch's.
SELECT substringIndex(batch_id, '~', 1) AS batch, count() AS spans
FROM tollway.spans
WHERE kind < 128
  AND (received_at >= {since:DateTime64(3, 'UTC')} OR has({batches:Array(String)}, substringIndex(batch_id, '~', 1)))
GROUP BY batch
ORDER BY batch
