-- The values that occur in the cells of a slice, in one row: what a filter can offer.
SELECT
    groupUniqArray(tenant)   AS tenants,
    groupUniqArray(alias)    AS aliases,
    groupUniqArray(provider) AS providers,
    groupUniqArray(account)  AS accounts
FROM tollway.{cells:Identifier} AS c
WHERE c.at >= {since:DateTime64(9, 'UTC')} AND c.at < {until:DateTime64(9, 'UTC')}
