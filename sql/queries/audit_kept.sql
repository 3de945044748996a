-- What the last audit of each hour and equality of a window said; an hour that none was made of has no row.
SELECT
    toDateTime64(audits.hour, 3, 'UTC') AS hour, toString(audits.equality) AS equality,
    argMax(audits.compared, audited_at) AS compared, argMax(audits.faults, audited_at) AS faults,
    argMax(audits.words, audited_at) AS words
FROM tollway.audits
WHERE audits.hour >= toDateTime({since:DateTime64(3, 'UTC')}) AND audits.hour < toDateTime({until:DateTime64(3, 'UTC')})
GROUP BY hour, equality
ORDER BY hour, equality
