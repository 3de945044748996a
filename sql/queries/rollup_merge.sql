-- Merges what several statements wrote beside a table into one part, which is read for less than many.
OPTIMIZE TABLE tollway.{next:Identifier} FINAL
