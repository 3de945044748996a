-- Keeps the rows of a table, whatever their age.
ALTER TABLE {database:Identifier}.{table:Identifier} REMOVE TTL
