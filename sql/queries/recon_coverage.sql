-- How many UTC days of a window an import covers, by account and import. An account without a row has no invoice.
SELECT provider, account, import_id, currency, count() AS days
FROM tollway.invoice_days
WHERE document != 'usage' AND day >= toDate({since:DateTime64(9, 'UTC')}, 'UTC')
  AND day < toDate({until:DateTime64(9, 'UTC')}, 'UTC')
GROUP BY provider, account, import_id, currency
ORDER BY provider, account, import_id, currency
