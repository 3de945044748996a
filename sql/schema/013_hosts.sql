-- The machine that an attempt ran on, where its operator names one: what hosts cost is shared out by it.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS host LowCardinality(String),            -- '' = a vendor's
    ADD COLUMN IF NOT EXISTS response_bytes UInt64 CODEC(T64, ZSTD(1));  -- of the answer's body; told of a host's attempts
