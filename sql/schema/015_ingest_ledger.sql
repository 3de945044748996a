-- What collectors entered in their ledgers, told by them a few seconds later: a row for what was received in a segment of
-- one sender, and one for each batch. It is told again after a crash, and when it is settled; the last counts, so read it
-- with FINAL. `at` is when the segment was opened, to which all that becomes of its spans belongs.
CREATE TABLE IF NOT EXISTS tollway.ingest_ledger {on_cluster}
(
    at        DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    spool     LowCardinality(String),                      -- whose: what its batches' names begin with
    segment   UInt64 CODEC(Delta(8), ZSTD(1)),
    sender    LowCardinality(String),
    entry     String CODEC(ZSTD(1)),                       -- the batch; '' = what was received
    tenant    LowCardinality(String),                      -- the sender's; '' = its spans name theirs
    received  UInt64 CODEC(T64, ZSTD(1)),
    duplicate UInt64 CODEC(T64, ZSTD(1)),
    stored    Map(LowCardinality(String), UInt64),         -- by tenant, as counted in the store
    parked    UInt64 CODEC(T64, ZSTD(1)),
    pending   UInt64 CODEC(T64, ZSTD(1)),
    reason    String CODEC(ZSTD(1)),                       -- why spans are parked
    settled   UInt8,                                       -- the higher counts: 0 open, 1 at its end, 2 parked and landed later
    told_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1))
)
ENGINE = Replacing{engine}(settled)
PARTITION BY toDate(at)
ORDER BY (spool, segment, sender, entry);

-- What audits of closed hours found: a row an hour and equality, and another one whenever its answer changes. Never changed.
CREATE TABLE IF NOT EXISTS tollway.audits {on_cluster}
(
    hour       DateTime('UTC'),
    equality   LowCardinality(String),
    compared   UInt64,                                     -- of how many segments, batches or hours it was asked
    faults     UInt64,                                     -- 0 = it holds
    words      Array(String),                              -- the first of them
    audited_at DateTime64(3, 'UTC')
)
ENGINE = {engine}
PARTITION BY toYYYYMM(hour)
ORDER BY (hour, equality, audited_at);
