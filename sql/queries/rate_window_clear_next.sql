-- Empties the table that the next set of windows is written to.
TRUNCATE TABLE tollway.rate_windows_next
