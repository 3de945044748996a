-- Looks at a response that was left to run (views/9_told_later.sql) are looked for by every question that reads facts, two days
-- around. With this a granule says which routes it has: of 50 tenants without such calls a third of the rows is read.
ALTER TABLE tollway.spans {on_cluster}
    ADD INDEX IF NOT EXISTS by_route route TYPE set(16) GRANULARITY 1;

ALTER TABLE tollway.spans {on_cluster}
    MATERIALIZE INDEX by_route;
