-- Rollups: sums of attempts by all that chooses their price or tells who caused them, at the grain of an hour, a UTC day
-- and a month, and of a day for all tenants together. Derived, never incremented: analytics/rollups rebuilds a partition
-- from the facts beside it (rollup_*_next) and swaps it in. `at` is the start of the hour, day or month.
--
-- Why these grains: 100 million attempts of 13 months, 50 tenants and 40 aliases are some 4 cells a tenant, alias and day.
-- Summing 16 measures of a million cells takes 80 ms on 2 cores: so months for long windows, and days without tenants for
-- long charts. Hours are for edges of windows and the day that runs.
-- Why histograms: merging 500,000 cells into p50/p95/p99 takes 48 ms with fixed buckets, 127 ms with t-digests and 290 ms
-- with DDSketches, which are also 3 and 2 times as large (chDB 26.9, 2 threads, warm, 16 samples a cell). Eight buckets
-- an octave from 1 ms: bucket 0 is below 1 ms, bucket i from 2^((i-1)/8) ms, the last from 2^20 ms; the middle of a bucket
-- is within 4.5 % of all that is in it.
CREATE TABLE IF NOT EXISTS tollway.rollup_hours {on_cluster}
(
    at               DateTime('UTC') CODEC(Delta(4), LZ4),
    tenant           LowCardinality(String),
    alias            LowCardinality(String),
    tier             LowCardinality(String),
    upstream         LowCardinality(String),
    provider         LowCardinality(String),
    account          LowCardinality(String),
    region           LowCardinality(String),
    model            LowCardinality(String),
    fallback_depth   UInt8,
    fallback_reason  LowCardinality(String),
    card_id          LowCardinality(String),           -- '' = no card prices it
    requests         UInt64,                           -- those whose first attempt is here; each member of a micro-batch
    told_later       UInt64,                           -- attempts that a later look at their response stands for: in no other
                                                       -- measure here
    attempts         UInt64,                           -- sent, so a vendor may bill them
    refused          UInt64,                           -- decided against before a byte was sent
    errors           UInt64,
    timeouts         UInt64,
    cancelled        UInt64,
    lost             UInt64,
    input_uncached   UInt64,                           -- tokens: the vendor's own final counts only
    cache_read       UInt64,
    cache_write_5m   UInt64,
    cache_write_1h   UInt64,
    output           UInt64,
    reasoning        UInt64,
    cost_usd         Decimal(38, 18),
    partial_cost_usd Decimal(38, 18),
    cache_saving_usd Decimal(38, 18),
    unmeasured       UInt64,
    unpriced         UInt64,
    queue_us         UInt64,
    duration_hist    Array(UInt32),                    -- of attempts that ended well
    first_token_hist Array(UInt32),                    -- of those that streamed
    rated_by         UInt64                            -- the mark of the rate cards in force that day; see analytics/rollups
)
ENGINE = {engine}
PARTITION BY toDate(at)
ORDER BY (tenant, alias, at)
TTL at + INTERVAL 70 DAY
SETTINGS ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS tollway.rollup_hours_next {on_cluster} AS tollway.rollup_hours;

CREATE TABLE IF NOT EXISTS tollway.rollup_days {on_cluster}
(
    at               DateTime('UTC') CODEC(Delta(4), LZ4),
    tenant           LowCardinality(String),
    alias            LowCardinality(String),
    tier             LowCardinality(String),
    upstream         LowCardinality(String),
    provider         LowCardinality(String),
    account          LowCardinality(String),
    region           LowCardinality(String),
    model            LowCardinality(String),
    fallback_depth   UInt8,
    fallback_reason  LowCardinality(String),
    card_id          LowCardinality(String),
    requests         UInt64,
    told_later       UInt64,
    attempts         UInt64,
    refused          UInt64,
    errors           UInt64,
    timeouts         UInt64,
    cancelled        UInt64,
    lost             UInt64,
    input_uncached   UInt64,
    cache_read       UInt64,
    cache_write_5m   UInt64,
    cache_write_1h   UInt64,
    output           UInt64,
    reasoning        UInt64,
    cost_usd         Decimal(38, 18),
    partial_cost_usd Decimal(38, 18),
    cache_saving_usd Decimal(38, 18),
    unmeasured       UInt64,
    unpriced         UInt64,
    queue_us         UInt64,
    duration_hist    Array(UInt64),
    first_token_hist Array(UInt64),
    rated_by         UInt64
)
ENGINE = {engine}
PARTITION BY toYYYYMM(at)
ORDER BY (tenant, alias, at);

CREATE TABLE IF NOT EXISTS tollway.rollup_days_next {on_cluster} AS tollway.rollup_days;

-- As rollup_days, by whole months; rated_by is the mark of their days' marks.
CREATE TABLE IF NOT EXISTS tollway.rollup_months {on_cluster} AS tollway.rollup_days;

CREATE TABLE IF NOT EXISTS tollway.rollup_months_next {on_cluster} AS tollway.rollup_days;

-- As rollup_days, of all tenants together: tenant is ''.
CREATE TABLE IF NOT EXISTS tollway.rollup_totals {on_cluster} AS tollway.rollup_days;

CREATE TABLE IF NOT EXISTS tollway.rollup_totals_next {on_cluster} AS tollway.rollup_days;

-- Facts lie by the day they were received and are asked for by the moment they began: with this a part says which
-- moments it holds, so late spans and clocks that are off cost a look at their own parts only.
ALTER TABLE tollway.spans {on_cluster}
    ADD INDEX IF NOT EXISTS by_start started_at TYPE minmax GRANULARITY 1;

ALTER TABLE tollway.spans {on_cluster}
    MATERIALIZE INDEX by_start;
