-- What shows that a server stores once what is sent twice: filled as the facts are, through a view, and counted. A day is kept.
CREATE TABLE IF NOT EXISTS tollway.probe {on_cluster}
(
    probe_id String,
    number   UInt32,
    at       DateTime('UTC') DEFAULT now()
)
ENGINE = {engine}
ORDER BY (probe_id, number)
TTL at + INTERVAL 1 DAY
SETTINGS non_replicated_deduplication_window = 10000,
         replicated_deduplication_window = 10000,
         replicated_deduplication_window_seconds = 604800;

-- Mirrors probe.proto.
CREATE TABLE IF NOT EXISTS tollway.probe_landing {on_cluster}
(
    probe_id String,
    numbers  Array(UInt32)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS tollway.probe_landing_to_probe {on_cluster} TO tollway.probe AS
SELECT probe_id, arrayJoin(numbers) AS number
FROM tollway.probe_landing;
