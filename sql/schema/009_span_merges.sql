-- Merging parts is a third of what a span costs the store. With more parts to a merge (5 is the server's default) a row is
-- written anew half as often, and about as many parts are there to be read.
ALTER TABLE tollway.spans {on_cluster} MODIFY SETTING merge_selector_base = 8;
