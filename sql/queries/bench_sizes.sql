-- How large the tables are that hold attempts: rows, parts, bytes on disk, and bytes a row.
SELECT
    toString(table)                                        AS name,
    sum(rows)                                              AS rows,
    count()                                                AS parts,
    sum(bytes_on_disk)                                     AS bytes,
    round(sum(bytes_on_disk) / sum(rows), 1)               AS bytes_a_row
FROM system.parts
WHERE active AND database = 'tollway' AND (table = 'spans' OR table LIKE 'rollup_%' AND table NOT LIKE '%_next')
GROUP BY name
ORDER BY name
