-- When each of some files was first imported, and the invoices that it names; a file that nobody imported has no row.
SELECT
    import_id,
    min(imported_at)                                                AS imported_at,
    arraySort(arrayDistinct(arrayFlatten(groupArray(invoice_ids)))) AS invoice_ids
FROM tollway.invoice_imports
WHERE has({import_ids:Array(String)}, import_id)
GROUP BY import_id
ORDER BY import_id
