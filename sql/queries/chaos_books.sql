-- What one collector told of its ledger, in one row.
SELECT
    sum(received) AS received, sum(arraySum(mapValues(stored))) AS stored, sum(duplicate) AS duplicate, sum(parked) AS parked,
    sum(pending) AS pending
FROM tollway.ingest_ledger FINAL
WHERE spool = {spool:String}
