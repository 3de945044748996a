-- How many batches ended by the collectors' ledgers, by the UTC hour of their segments.
SELECT toDateTime64(toStartOfHour(at), 3, 'UTC') AS hour, count() AS batches
FROM tollway.ingest_ledger FINAL
WHERE entry != '' AND pending = 0 AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}
GROUP BY hour
ORDER BY hour
