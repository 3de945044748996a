"""Configuration: one YAML file becomes one frozen value, or the process does not start and says all that is wrong."""

from gateway.config.faults import ConfigError, Fault
from gateway.config.load import load, load_text
from gateway.config.model import (
    AliasConfig,
    AliasRung,
    Breaker,
    Cache,
    Fallback,
    RoutingConfig,
    RoutingFile,
    Rung,
    Target,
    Tenant,
    Tier,
    Upstream,
)

__all__ = [
    "AliasConfig",
    "AliasRung",
    "Breaker",
    "Cache",
    "ConfigError",
    "Fallback",
    "Fault",
    "RoutingConfig",
    "RoutingFile",
    "Rung",
    "Target",
    "Tenant",
    "Tier",
    "Upstream",
    "load",
    "load_text",
]
