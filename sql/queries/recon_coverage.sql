-- How many UTC days of a window an import covers, by account, document and import; of a numbered invoice those on which it
-- has lines. An account without a row has no invoice.
SELECT provider, account, document, import_id, currency, uniqExact(day) AS days
FROM
(
    SELECT provider, account, document, import_id, currency, day
    FROM tollway.invoice_days
    UNION ALL
    SELECT provider, account, document, import_id, currency, day
    FROM tollway.invoice_current
    WHERE document = 'invoice' AND invoice_id != ''
)
WHERE document != 'usage' AND day >= toDate({since:DateTime64(9, 'UTC')}, 'UTC')
  AND day < toDate({until:DateTime64(9, 'UTC')}, 'UTC')
GROUP BY provider, account, document, import_id, currency
ORDER BY provider, account, document, import_id, currency
