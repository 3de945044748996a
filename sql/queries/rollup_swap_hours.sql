-- Puts a rebuilt UTC day of hours in the place of what stood there, in one step.
ALTER TABLE tollway.rollup_hours REPLACE PARTITION {partition:Date} FROM tollway.rollup_hours_next
