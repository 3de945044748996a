-- How large the tables are that hold attempts: rows, parts, bytes on disk, and bytes a row.
SELECT
    toString(p.table)                                AS name,
    sum(p.rows)                                      AS lines,
    count()                                          AS parts,
    sum(p.bytes_on_disk)                             AS bytes,
    round(sum(p.bytes_on_disk) / sum(p.rows), 1)     AS bytes_a_line
FROM system.parts AS p
WHERE p.active AND p.database = 'tollway' AND (p.table = 'spans' OR p.table LIKE 'rollup_%' AND p.table NOT LIKE '%_next')
GROUP BY name
ORDER BY name
