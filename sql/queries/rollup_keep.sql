-- Copies the days of a month that are not rebuilt to those that are.
INSERT INTO tollway.rollup_days_next
SELECT *
FROM tollway.rollup_days
WHERE at >= {since:DateTime64(3, 'UTC')} AND at < {until:DateTime64(3, 'UTC')} AND NOT has({days:Array(Date)}, toDate(at))
