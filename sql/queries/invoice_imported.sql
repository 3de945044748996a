-- The newest load of one file for one account, and whether it still speaks for each of its days, or of its invoices; no
-- rows: it was not imported.
SELECT
    load_id, file_format, document, lines, total, currency, days, imported_at,
    if(empty(invoice_ids),
        length(days) = (
            SELECT count()
            FROM tollway.invoice_days AS standing
            WHERE standing.provider = {provider:String} AND standing.account = {account:String}
              AND standing.import_id = {import_id:String}
        ),
        length(invoice_ids) = (
            SELECT count()
            FROM tollway.invoice_numbers AS standing
            WHERE standing.provider = {provider:String} AND standing.account = {account:String}
              AND standing.import_id = {import_id:String}
        )) AS stands
FROM tollway.invoice_imports
WHERE import_id = {import_id:String} AND provider = {provider:String} AND account = {account:String}
ORDER BY imported_at DESC, load_id DESC
LIMIT 1
