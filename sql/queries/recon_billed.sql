-- The billed rows that speak for the UTC days of a window: of each account and day, those of its newest import.
SELECT provider, account, day, model, token_class, reason, quantity, amount, scale, import_id, row
FROM tollway.invoice_current
WHERE document != 'usage' AND day >= toDate({since:DateTime64(9, 'UTC')}, 'UTC')
  AND day < toDate({until:DateTime64(9, 'UTC')}, 'UTC')
ORDER BY provider, account, day, model, token_class, import_id, row
