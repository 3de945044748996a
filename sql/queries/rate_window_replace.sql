-- Puts the next set of windows in force, all at once, on every server that has them. An empty next set is refused by the engine.
ALTER TABLE tollway.rate_windows REPLACE PARTITION tuple() FROM tollway.rate_windows_next
