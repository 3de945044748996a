-- How many rows of one probe a server has.
SELECT count() AS found
FROM {facts:Identifier}.probe
WHERE probe_id = {probe_id:String}
