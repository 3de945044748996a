-- Lets facts go that many days after the day they were received. A day is a partition, so what goes is dropped and not rewritten.
ALTER TABLE {facts:Identifier}.spans
MODIFY TTL toDate(received_at) + toIntervalDay({days:UInt16})
