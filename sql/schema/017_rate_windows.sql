-- Rate cards get all that may choose a price, and the store a table of what that choice comes to: tollway.rate_windows says
-- of every case that the cards tell apart which card prices it from when to when, so that rating is one lookup. It is
-- written out by analytics/rate_windows.py from the rule in gateway/domain/rate_card.py.
ALTER TABLE tollway.spans {on_cluster}
    ADD COLUMN IF NOT EXISTS deployment LowCardinality(String),  -- global | data-zone | regional; '' = not told
    ADD COLUMN IF NOT EXISTS modality LowCardinality(String);    -- of some tokens, if not text: audio, image, video

ALTER TABLE tollway.rate_cards {on_cluster}
    ADD COLUMN IF NOT EXISTS snapshot LowCardinality(String),
    ADD COLUMN IF NOT EXISTS region LowCardinality(String),
    ADD COLUMN IF NOT EXISTS deployment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS modality LowCardinality(String),
    ADD COLUMN IF NOT EXISTS prompt_from UInt64,                 -- the least prompt it prices, cached tokens included
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String),        -- list | contracted
    ADD COLUMN IF NOT EXISTS issuer LowCardinality(String),      -- '' = the provider
    ADD COLUMN IF NOT EXISTS unit_tokens UInt64 DEFAULT 1000000, -- what the vendor states a price for
    ADD COLUMN IF NOT EXISTS multipliers String,                 -- 'region=1.1,batch=0.5': they are in the prices
    ADD COLUMN IF NOT EXISTS source String,
    ADD COLUMN IF NOT EXISTS captured_at Nullable(DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS sha256 String,
    ADD COLUMN IF NOT EXISTS approved_by String,
    ADD COLUMN IF NOT EXISTS approved_at Nullable(DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS version UInt32;                     -- of the approved book that brought it; 0 = configured

ALTER TABLE tollway.rate_cards_next {on_cluster}
    ADD COLUMN IF NOT EXISTS snapshot LowCardinality(String),
    ADD COLUMN IF NOT EXISTS region LowCardinality(String),
    ADD COLUMN IF NOT EXISTS deployment LowCardinality(String),
    ADD COLUMN IF NOT EXISTS modality LowCardinality(String),
    ADD COLUMN IF NOT EXISTS prompt_from UInt64,
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String),
    ADD COLUMN IF NOT EXISTS issuer LowCardinality(String),
    ADD COLUMN IF NOT EXISTS unit_tokens UInt64 DEFAULT 1000000,
    ADD COLUMN IF NOT EXISTS multipliers String,
    ADD COLUMN IF NOT EXISTS source String,
    ADD COLUMN IF NOT EXISTS captured_at Nullable(DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS sha256 String,
    ADD COLUMN IF NOT EXISTS approved_by String,
    ADD COLUMN IF NOT EXISTS approved_at Nullable(DateTime64(3, 'UTC')),
    ADD COLUMN IF NOT EXISTS version UInt32;

-- The first ten columns are an attempt's own words, where the cards of its model know them, and else ''.
CREATE TABLE IF NOT EXISTS tollway.rate_windows {on_cluster}
(
    provider             LowCardinality(String),
    model                LowCardinality(String),          -- or a prefix, ending in '*'
    processing_tier      LowCardinality(String),
    modality             LowCardinality(String),
    account              LowCardinality(String),
    snapshot             LowCardinality(String),
    region               LowCardinality(String),
    deployment           LowCardinality(String),
    prompt_from          UInt64,                          -- the highest threshold that the prompt reaches
    since                DateTime64(3, 'UTC'),
    until                DateTime64(3, 'UTC'),            -- exclusive; 2262-01-01 = open
    card_id              String,
    currency             LowCardinality(String),
    price_input_uncached Nullable(Decimal(38, 18)),       -- for one token; NULL = unknown, which is not 0
    price_cache_read     Nullable(Decimal(38, 18)),
    price_cache_write_5m Nullable(Decimal(38, 18)),
    price_cache_write_1h Nullable(Decimal(38, 18)),
    price_output         Nullable(Decimal(38, 18)),
    price_reasoning      Nullable(Decimal(38, 18)),       -- NULL = billed as output
    CONSTRAINT price_is_sane CHECK
        ifNull(price_input_uncached, 0) BETWEEN 0 AND 1000000 AND ifNull(price_cache_read, 0) BETWEEN 0 AND 1000000
        AND ifNull(price_cache_write_5m, 0) BETWEEN 0 AND 1000000 AND ifNull(price_cache_write_1h, 0) BETWEEN 0 AND 1000000
        AND ifNull(price_output, 0) BETWEEN 0 AND 1000000 AND ifNull(price_reasoning, 0) BETWEEN 0 AND 1000000,
    CONSTRAINT period_is_sane CHECK since < until
)
ENGINE = {engine}
ORDER BY (provider, model, processing_tier, modality, account, snapshot, region, deployment, prompt_from, since);

CREATE TABLE IF NOT EXISTS tollway.rate_windows_next {on_cluster} AS tollway.rate_windows;
