-- The values that occur in a window, sorted, in one row: what a filter can offer.
SELECT
    arraySort(groupUniqArray(tenant))   AS tenants,
    arraySort(groupUniqArray(alias))    AS aliases,
    arraySort(groupUniqArray(provider)) AS providers,
    arraySort(groupUniqArray(account))  AS accounts
FROM tollway.attempts
WHERE started_at >= {since:DateTime64(9, 'UTC')} AND started_at < {until:DateTime64(9, 'UTC')}
