-- Whether a statement of that id is still running; the embedded store shows its callers' ids in the log comment.
SELECT count() AS running
FROM system.processes
WHERE query_id = {query_id:String} OR Settings['log_comment'] = {query_id:String}
