-- Which models' answers named another model (a snapshot) to an account, in a window. No rows: none did.
SELECT DISTINCT provider, account, model, response_model
FROM tollway.attempts
WHERE billable
  AND response_model != '' AND response_model != model
  AND started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
ORDER BY provider, account, model, response_model
