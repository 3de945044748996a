-- Puts a rebuilt month (202611) of days of all tenants together in the place of what stood there, in one step.
ALTER TABLE tollway.rollup_totals REPLACE PARTITION {partition:UInt32} FROM tollway.rollup_totals_next
