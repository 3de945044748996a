-- Which load speaks for an invoice that its issuer has given a number: the newest one that has it and is not void. Several
-- invoices of one account may bill the same days.
CREATE OR REPLACE VIEW tollway.invoice_numbers {on_cluster} AS
SELECT
    provider,
    account,
    document,
    invoice_id,
    newest.1 AS load_id,
    newest.2 AS import_id,
    newest.3 AS currency
FROM
(
    SELECT
        provider,
        account,
        document,
        invoice_id,
        argMax((i.load_id, i.import_id, i.currency), (i.imported_at, i.load_id)) AS newest
    FROM tollway.invoice_imports AS i
    ARRAY JOIN invoice_ids AS invoice_id
    WHERE load_id NOT IN (SELECT load_id FROM tollway.invoice_voids)
    GROUP BY provider, account, document, invoice_id
);
