-- Which load speaks for an account's UTC day in a document: the newest one that covers it and is not void. Usage, costs and
-- invoices stand beside each other.
CREATE OR REPLACE VIEW tollway.invoice_days {on_cluster} AS
SELECT
    provider,
    account,
    document,
    day,
    newest.1 AS load_id,
    newest.2 AS import_id,
    newest.3 AS currency
FROM
(
    SELECT
        provider,
        account,
        document,
        day,
        argMax((i.load_id, i.import_id, i.currency), (i.imported_at, i.load_id)) AS newest
    FROM tollway.invoice_imports AS i
    ARRAY JOIN days AS day
    WHERE empty(invoice_ids) AND load_id NOT IN (SELECT load_id FROM tollway.invoice_voids)
    GROUP BY provider, account, document, day
);
