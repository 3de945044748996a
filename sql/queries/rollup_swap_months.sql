-- Puts a rebuilt month (202611) in the place of what stood there, in one step.
ALTER TABLE tollway.rollup_months REPLACE PARTITION {partition:UInt32} FROM tollway.rollup_months_next
