-- The gateway's own spans, which are nearly all, land here and are decoded for less: gateway.proto says what it mirrors.
CREATE TABLE IF NOT EXISTS tollway.gateway_landing {on_cluster}
(
    resource_spans Array(Tuple(
        resource Tuple(attributes Array(Tuple(
            key String,
            value Tuple(
                string_value String, int_value Int64, double_value Float64,
                array_value Tuple(values Array(Tuple(string_value String))))))),
        scope_spans Array(Tuple(spans Array(Tuple(
            trace_id String, span_id String, parent_span_id String, name String, kind Int32,
            start_time_unix_nano UInt64, end_time_unix_nano UInt64,
            attributes Array(Tuple(
                key String,
                value Tuple(
                    string_value String, int_value Int64, double_value Float64,
                    array_value Tuple(values Array(Tuple(string_value String)))))),
            status Tuple(code Int32))))))),
    batch_id       String,
    sender         String,
    bound_tenant   String,
    received_at_ms Int64
)
ENGINE = Null;
