-- The last hour that an audit was made of; NULL = none was.
SELECT if(count() = 0, NULL, toDateTime64(max(hour), 3, 'UTC')) AS hour
FROM tollway.audits
