-- Makes the attempts of one UTC day in the engine itself, for a bench of queries: 50 tenants, 40 aliases, every 20th attempt
-- at a fallback, ids as random as the gateway's.
INSERT INTO tollway.spans
    (attempt_id, trace_id, span_id, parent_span_id, kind, started_at, ended_at, tenant, alias, tier, upstream, provider,
     account, region, model, response_id, attempt_index, outcome, fallback_depth, fallback_reason, completeness,
     input_uncached, cache_read, output, queue_seconds, first_token_seconds, duration_seconds, http_status, stream, billable,
     batch_id, received_at, batch_size)
WITH
    toUInt64(toUInt32({day:Date})) * 10000000 + number AS id,
    cityHash64(id) AS h,
    h % 50 AS who,
    intDiv(h, 50) % 40 AS what,
    intDiv(h, 2000) % 1000 AS lot,
    multiIf(lot < 10, 2, lot < 50, 1, 0) AS depth,
    intDiv(h, 2000000) % 100 AS ending,
    multiIf(ending < 3, 'error', ending < 4, 'timeout', ending < 5, 'cancelled', 'ok') AS how,
    (intDiv(h, 200000000) % 10000) / 10000 AS u,
    (what + 3 * depth) % 8 AS home,
    toDateTime64({day:Date}, 9, 'UTC') + toIntervalMillisecond(intDiv(id * 2654435761 % 4294967296 * 86400, 4294968)) AS began,
    lower(hex(sipHash128(id))) AS digits
SELECT
    digits, lower(hex(sipHash128(id, 1))), lower(hex(h)), '', 3, began,
    began + toIntervalMillisecond(toUInt32(300 + 9000 * u * u)),
    concat('tenant-', leftPad(toString(who), 2, '0')), concat('alias-', leftPad(toString(what), 2, '0')),
    ['interactive', 'agent', 'batch'][what % 3 + 1], concat('upstream-', toString(home)),
    concat('vendor-', toString(home % 4)), concat('account-', toString(home)), ['us-east-1', 'eu-west-1'][home % 2 + 1],
    concat('model-', toString(what % 10)),
    if(how = 'ok', concat('chatcmpl-', lower(hex(sipHash64(id))), substring(digits, 1, 8)), ''),
    depth, how, depth, if(depth = 0, '', ['timeout', 'server_error', 'breaker_open'][h % 3 + 1]),
    if(how = 'ok', 'measured', 'unknown'), if(how = 'ok', 200 + h % 3000, 0), if(how = 'ok' AND h % 4 = 0, 1024, 0),
    if(how = 'ok', 20 + h % 700, 0), u / 10, if(how = 'ok', 0.1 + u, NULL), 0.3 + 9 * u * u,
    if(how = 'ok', 200, if(how = 'error', 500, 0)), true, true, toString({day:Date}),
    began, 1
FROM numbers({rows:UInt64})
WHERE began < {until:DateTime64(9, 'UTC')}
