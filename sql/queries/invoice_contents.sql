-- What a load's lines come to, by kind of charge and class of tokens; no rows: it has only days without charges.
SELECT
    charge_category,
    token_class,
    invoice_status,
    count()                      AS lines,
    sum(quantity)                AS quantity,
    toString(sum(amount_exact))  AS amount
FROM tollway.invoice_lines
WHERE load_id = {load_id:String}
GROUP BY charge_category, token_class, invoice_status
ORDER BY charge_category, token_class, invoice_status
