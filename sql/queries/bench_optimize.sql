-- Merge all parts of a partition into one, as time would.
OPTIMIZE TABLE tollway.spans FINAL
