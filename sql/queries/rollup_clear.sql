-- Empties a table that rebuilt cells are written to.
TRUNCATE TABLE tollway.{next:Identifier}
