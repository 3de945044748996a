-- What stands for an account in a document before another file takes its place, on some days or (if any are given) under
-- some numbers: lines, their sum as text, and the organizations that the files name; always one row, all empty where
-- nothing stands.
SELECT
    count()                                                                  AS lines,
    toString(sumIf(amount_exact, invoice_status != 'Voided'))                AS total,
    (
        SELECT arraySort(groupUniqArrayIf(organization, organization != ''))
        FROM tollway.invoice_imports
        WHERE provider = {provider:String} AND account = {account:String}
    )                                                                        AS organizations
FROM tollway.invoice_current
WHERE provider = {provider:String} AND account = {account:String} AND document = {document:String}
  AND if(empty({invoice_ids:Array(String)}), has({days:Array(Date)}, standing_day),
         has({invoice_ids:Array(String)}, invoice_id))
