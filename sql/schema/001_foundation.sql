-- The database and the record of what was applied to it. Applied by sql/migrations.py: each statement alone, each harmless
-- when it is applied again.
CREATE DATABASE IF NOT EXISTS tollway {on_cluster} ENGINE = Atomic;

CREATE TABLE IF NOT EXISTS tollway.schema_migrations {on_cluster}
(
    version    UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC')
)
ENGINE = {engine}
ORDER BY version;
