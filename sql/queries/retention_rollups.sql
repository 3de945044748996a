-- Lets cells of a rollup go that many days after the end of their month: days, totals and months of it all at once.
ALTER TABLE tollway.{table:Identifier}
MODIFY TTL toLastDayOfMonth(toDate(at)) + toIntervalDay({days:UInt16})
