-- Lets facts go that many days after the day they were received: the gateway's attempts, and all other spans by a time of their
-- own. Parts that hold both are rewritten without those that go.
ALTER TABLE {facts:Identifier}.spans
MODIFY TTL toDate(received_at) + toIntervalDay({attempts:UInt16}) DELETE WHERE batch_size > 0,
           toDate(received_at) + toIntervalDay({others:UInt16}) DELETE WHERE batch_size = 0
