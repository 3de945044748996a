-- The batches of a window, or those named: what the collectors' ledgers say that the store has of each, by tenant (wanted),
-- and what it has (held). Only those of which it is not the same; none that is on its way. Rows that a replay made anew bear
-- the name of their batch with ~ and a number behind it, and count as that batch's. A batch from before its collector told
-- the store of its ledger has no row.
WITH
    (SELECT mapFromArrays(groupArray(spool), groupArray(first))
     FROM (SELECT toString(spool) AS spool, min(at) AS first FROM tollway.ingest_ledger GROUP BY spool)) AS firsts,
    arrayMin(mapValues(firsts)) AS begun
SELECT
    toDateTime64(toStartOfHour(if(known, minIf(since, told), min(since))), 3, 'UTC') AS hour, batch, max(told) AS known,
    toUInt64(arraySum(mapValues(sumMap(one)))) AS wanted, toUInt64(arraySum(mapValues(sumMap(other)))) AS held,
    arrayStringConcat(arraySort(arrayFilter(whose -> sumMap(one)[whose] != sumMap(other)[whose],
        arrayDistinct(arrayConcat(mapKeys(sumMap(one)), mapKeys(sumMap(other)))))), ', ') AS tenants
FROM
(
    SELECT at AS since, toString(entry) AS batch, true AS told, pending,
        mapApply((whose, spans) -> (toString(whose), spans), stored) AS one, map('', toUInt64(0)) AS other
    FROM tollway.ingest_ledger FINAL
    WHERE entry != ''
      AND (has({batches:Array(String)}, entry)
           OR (empty({batches:Array(String)}) AND at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')}))
    UNION ALL
    SELECT min(received_at) AS since, substringIndex(batch_id, '~', 1) AS batch, false AS told, toUInt64(0) AS pending,
        map('', toUInt64(0)) AS one, map(toString(tenant), count()) AS other
    FROM tollway.spans
    WHERE kind < 128
      AND (has({batches:Array(String)}, substringIndex(batch_id, '~', 1))
           OR (empty({batches:Array(String)})
               AND received_at >= {since:DateTime64(3, 'UTC')} AND received_at < {until:DateTime64(3, 'UTC')}))
      AND received_at >= if(mapContains(firsts, substringIndex(batch_id, '-', 1)),
                            firsts[substringIndex(batch_id, '-', 1)], begun) - INTERVAL 1 HOUR
    GROUP BY batch, tenant
)
GROUP BY batch
HAVING sum(pending) = 0
   AND if(known, tenants != '' OR wanted != held,
          notEmpty(firsts) AND min(since) > if(mapContains(firsts, substringIndex(batch, '-', 1)),
                                              firsts[substringIndex(batch, '-', 1)], begun))
ORDER BY hour, batch
LIMIT 1000
