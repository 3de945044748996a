"""OTLP in, ClickHouse out, each span once; what is acknowledged is safe on disk."""
