-- Leaves nothing priced.
TRUNCATE TABLE tollway.rate_windows
