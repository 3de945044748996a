-- Who calls what since a moment: a row per tenant, user agent, route, streaming and tool format; '' = not told, or no
-- tools. What had no traffic has no row. An empty array means all tenants.
SELECT
    tenant, user_agent, route, stream, tool_format,
    count()         AS requests,
    max(started_at) AS last_used
FROM tollway.operations
WHERE started_at >= {since:DateTime64(9, 'UTC')}
  AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, tenant))
GROUP BY tenant, user_agent, route, stream, tool_format
ORDER BY tenant, requests DESC, user_agent, route, stream, tool_format
