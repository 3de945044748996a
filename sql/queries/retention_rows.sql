-- Lets rows of a table go that many days after their time.
ALTER TABLE tollway.{table:Identifier}
MODIFY TTL toDate({time:Identifier}) + toIntervalDay({days:UInt16})
