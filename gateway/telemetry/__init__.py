"""Telemetry: the spans that are billed for, as OTLP bytes, and Tollway's own operational traces and metrics."""
