-- How many spans there are and when the last one arrived; one row, the time at the epoch where there is none.
SELECT count() AS spans, max(received_at) AS last_received_at
FROM tollway.spans
