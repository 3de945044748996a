-- What other emitters report: the whole table of spellings (facts of each vocabulary, and what their real packages send),
-- which of their spans is one call of a model, and which of those calls nobody else reports. Rows that are there stay as
-- they are: theirs is no role, so they are in none of the new views.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS foreign_role LowCardinality(String),     -- call | parent (repeats its calls) | other; '' = the gateway's
    ADD COLUMN IF NOT EXISTS upstream_model LowCardinality(String),   -- what a proxy says that it called
    ADD COLUMN IF NOT EXISTS end_user String CODEC(ZSTD(1)),          -- a hash, keyed by the tenant's name
    ADD COLUMN IF NOT EXISTS emitter_cost_usd Nullable(Decimal(38, 18));  -- advice: no total of ours holds it
