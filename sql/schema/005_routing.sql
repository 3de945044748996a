-- What the routing plane adds to a span: the client's route, micro-batches, what the gateway's own cache saved, content
-- where a tier's logging policy keeps it, and the transitions of breakers and regions.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS route LowCardinality(String),          -- the client's
    ADD COLUMN IF NOT EXISTS tool_format LowCardinality(String),    -- tools | functions; '' = none
    ADD COLUMN IF NOT EXISTS batch_window_ms UInt32,                -- 0 = sent alone
    ADD COLUMN IF NOT EXISTS batch_size UInt32 DEFAULT if(attempt_id = '', 0, 1),  -- requests that an attempt carries
    ADD COLUMN IF NOT EXISTS shared_attempt_id String CODEC(ZSTD(1)),  -- on an operation that a micro-batch answered
    ADD COLUMN IF NOT EXISTS saved_usd Nullable(Decimal(38, 18)),   -- on an operation that the cache answered
    ADD COLUMN IF NOT EXISTS service_tier LowCardinality(String),   -- as the vendor says
    ADD COLUMN IF NOT EXISTS memory_pressure LowCardinality(String),
    ADD COLUMN IF NOT EXISTS request_content String CODEC(ZSTD(3)) TTL toDateTime(received_at) + INTERVAL 30 DAY,
    ADD COLUMN IF NOT EXISTS response_content String CODEC(ZSTD(3)) TTL toDateTime(received_at) + INTERVAL 30 DAY,
    ADD COLUMN IF NOT EXISTS transition_scope LowCardinality(String),  -- breaker | region; '' = no transition
    ADD COLUMN IF NOT EXISTS breaker_from LowCardinality(String),
    ADD COLUMN IF NOT EXISTS breaker_to LowCardinality(String),
    ADD COLUMN IF NOT EXISTS breaker_cause LowCardinality(String),
    ADD COLUMN IF NOT EXISTS transition_failures UInt32,
    ADD COLUMN IF NOT EXISTS transition_open_seconds Nullable(Float64);

-- Which text of each file of sql/views was applied last.
CREATE TABLE IF NOT EXISTS tollway.schema_views {on_cluster}
(
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = {engine}
ORDER BY name;
