-- The newest load of one file for one account, and whether it still speaks for each of its days; no rows: it was not
-- imported.
SELECT
    load_id, file_format, lines, total, currency, days, imported_at,
    length(days) = (
        SELECT count()
        FROM tollway.invoice_days AS standing
        WHERE standing.provider = {provider:String} AND standing.account = {account:String}
          AND standing.import_id = {import_id:String}
    ) AS stands
FROM tollway.invoice_imports
WHERE import_id = {import_id:String} AND provider = {provider:String} AND account = {account:String}
ORDER BY imported_at DESC, load_id DESC
LIMIT 1
