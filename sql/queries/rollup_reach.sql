-- From where and up to where each rollup reaches: starts of its first and its last hour, day or month; NULL where it holds
-- nothing. One row.
SELECT
    (SELECT if(count() = 0, NULL, toDateTime64(min(at), 3, 'UTC')) FROM tollway.rollup_hours)  AS first_hour,
    (SELECT if(count() = 0, NULL, toDateTime64(max(at), 3, 'UTC')) FROM tollway.rollup_hours)  AS last_hour,
    (SELECT if(count() = 0, NULL, toDateTime64(max(at), 3, 'UTC')) FROM tollway.rollup_days)   AS last_day,
    (SELECT if(count() = 0, NULL, toDateTime64(max(at), 3, 'UTC')) FROM tollway.rollup_totals) AS last_total,
    (SELECT if(count() = 0, NULL, toDateTime64(max(at), 3, 'UTC')) FROM tollway.rollup_months) AS last_month
