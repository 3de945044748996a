-- On which UTC days the attempts of a cell were received, first and last: facts lie by that day, so whoever reads some minutes
-- of an hour from the facts looks into those partitions only. What is there already does not say, which is every day.
ALTER TABLE tollway.rollup_hours {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_hours_next {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_days {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_days_next {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_months {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_months_next {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_totals {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);

ALTER TABLE tollway.rollup_totals_next {on_cluster}
    ADD COLUMN IF NOT EXISTS received_first Date DEFAULT toDate(0),
    ADD COLUMN IF NOT EXISTS received_last Date DEFAULT toDate(65535);
