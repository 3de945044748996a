-- The vendor's own day by which a line stands until another import covers it. Mostly the UTC day of what is billed; but a
-- correction is of an earlier time than the bill that it is on, and some vendors bill by another time zone's days.
ALTER TABLE tollway.invoice_lines {on_cluster}
    ADD COLUMN IF NOT EXISTS standing_day Date DEFAULT day;
