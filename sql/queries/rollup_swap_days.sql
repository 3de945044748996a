-- Puts a rebuilt month (202611) of days in the place of what stood there, in one step.
ALTER TABLE tollway.rollup_days REPLACE PARTITION {partition:UInt32} FROM tollway.rollup_days_next
