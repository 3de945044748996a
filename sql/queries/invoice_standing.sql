-- What stands for an account on some UTC days in a document before another file covers them: lines, their sum as text, and
-- the organizations that the files name; always one row, all empty where nothing stands.
SELECT
    count()                                                                  AS lines,
    toString(sum(amount_exact))                                              AS total,
    (
        SELECT arraySort(groupUniqArrayIf(organization, organization != ''))
        FROM tollway.invoice_imports
        WHERE provider = {provider:String} AND account = {account:String}
    )                                                                        AS organizations
FROM tollway.invoice_current
WHERE provider = {provider:String} AND account = {account:String} AND document = {document:String}
  AND has({days:Array(Date)}, day)
