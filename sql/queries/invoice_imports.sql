-- Every load of a vendor's file, newest first, with the days or invoices that it has (slots), those for which it still speaks
-- (standing), and why it is void; no rows: nothing was imported.
SELECT
    imported_at,
    provider,
    account,
    document,
    import_id,
    load_id,
    file_name,
    file_format,
    lines,
    total,
    currency,
    arrayMin(days)                                                    AS first_day,
    arrayMax(days)                                                    AS last_day,
    invoice_ids,
    if(empty(invoice_ids), length(days), length(invoice_ids))         AS slots,
    spoken.held                                                       AS standing,
    multiIf(voids.reason != '', 'void', standing = 0, 'superseded', standing < slots, 'partly superseded', 'stands') AS state,
    voids.reason                                                      AS void_reason
FROM tollway.invoice_imports AS imports
LEFT JOIN
(
    SELECT load_id AS speaker, count() AS held
    FROM (SELECT load_id FROM tollway.invoice_days UNION ALL SELECT load_id FROM tollway.invoice_numbers)
    GROUP BY load_id
) AS spoken ON spoken.speaker = imports.load_id
LEFT JOIN (SELECT load_id AS voided, any(reason) AS reason FROM tollway.invoice_voids GROUP BY load_id) AS voids
    ON voids.voided = imports.load_id
ORDER BY imported_at DESC, load_id DESC
