-- Which card prices which case, and from when to when. No rows: nothing can be priced.
SELECT * FROM tollway.rate_windows
ORDER BY ALL
