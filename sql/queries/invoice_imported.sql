-- The loads of one file for one account; no rows: it was not imported. Of two, only the newer ever counts.
SELECT load_id, file_format, lines, total, currency, days, imported_at
FROM tollway.invoice_imports
WHERE import_id = {import_id:String} AND provider = {provider:String} AND account = {account:String}
ORDER BY imported_at DESC, load_id DESC
LIMIT 1
