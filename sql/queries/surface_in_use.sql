-- The surface that clients used since a moment: a row per tenant, alias, tier, route, streaming and tool format. What had
-- no traffic has no row. An empty array means all tenants.
SELECT
    tenant, alias, tier, route, stream, tool_format,
    count()         AS requests,
    max(started_at) AS last_used
FROM tollway.operations
WHERE started_at >= {since:DateTime64(9, 'UTC')}
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
GROUP BY tenant, alias, tier, route, stream, tool_format
ORDER BY tenant, alias, tier, route, stream, tool_format
