-- The lines that stand: of each account, document and UTC day, or numbered invoice, those of the load that speaks for it.
-- The document is the import's: lines that landed before documents were told apart do not know theirs.
CREATE OR REPLACE VIEW tollway.invoice_current {on_cluster} AS
SELECT
    standing.provider    AS provider,
    standing.account     AS account,
    standing.import_id   AS import_id,
    standing.document    AS document,
    lines.* EXCEPT (document, number, of_day),
    lines.amount_exact   AS amount_exact
FROM
(
    SELECT *, amount_exact, if(document = 'invoice', invoice_id, '') AS number, if(number = '', standing_day, toDate(0)) AS of_day
    FROM tollway.invoice_lines
) AS lines
INNER JOIN
(
    SELECT provider, account, document, load_id, import_id, day, '' AS number
    FROM tollway.invoice_days
    UNION ALL
    SELECT provider, account, document, load_id, import_id, toDate(0) AS day, invoice_id AS number
    FROM tollway.invoice_numbers
) AS standing ON standing.load_id = lines.load_id AND standing.day = lines.of_day AND standing.number = lines.number;
