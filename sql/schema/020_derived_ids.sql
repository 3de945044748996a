-- An id that is made of others is not stored: of a gateway's attempt the first half of its trace's and its own span's, of a
-- request that did not name itself the end of its trace's and its operation's span. Random ids do not compress, so each took
-- as many bytes as it has. `derived` says which of a row's were left out: 1 the attempt's; 2 the request's, on an attempt; 4
-- the request's, on the operation itself. The views put them back. Nor is it stored how long a span lasted: 0 is what its
-- times say.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS derived UInt8;

ALTER TABLE tollway.spans {on_cluster}
    ADD INDEX IF NOT EXISTS by_shown_attempt
        if(bitAnd(derived, 1) = 1, concat(substring(trace_id, 1, 16), span_id), attempt_id) TYPE bloom_filter(0.001) GRANULARITY 4,
    ADD INDEX IF NOT EXISTS by_shown_request
        if(bitAnd(derived, 6) != 0,
           concat('req_', substring(trace_id, 25), if(bitAnd(derived, 4) = 4, span_id, parent_span_id)), request_id)
        TYPE bloom_filter(0.001) GRANULARITY 4,
    DROP INDEX IF EXISTS by_attempt,
    DROP INDEX IF EXISTS by_request;
