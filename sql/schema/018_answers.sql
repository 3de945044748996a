-- What is wrong with an answer that came as it should, and what its tenant said of it: either has it made again.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS answer_fault LowCardinality(String),      -- of an attempt; '' = none that is known
    ADD COLUMN IF NOT EXISTS feedback_verdict LowCardinality(String),  -- good | redo | bad; '' = no feedback
    ADD COLUMN IF NOT EXISTS feedback_reason LowCardinality(String),
    ADD COLUMN IF NOT EXISTS feedback_score Nullable(Float64);         -- 0 to 1; NULL = none given
