"""Configuration: one YAML file becomes one frozen value, or the process does not start and says all that is wrong."""

from gateway.config.changes import changes, held_back
from gateway.config.faults import ConfigError, Fault
from gateway.config.load import load, load_text
from gateway.config.model import RoutingConfig, RoutingFile
from gateway.config.policies import Breaker, Cache, Control, Fallback
from gateway.config.tenants import Budget, Tenant
from gateway.config.tiers import Fuse, Sla, Tier
from gateway.config.upstreams import AliasConfig, AliasRung, AliasTier, Rung, Surface, Target, Upstream

__all__ = [
    "AliasConfig",
    "AliasRung",
    "AliasTier",
    "Breaker",
    "Budget",
    "Cache",
    "ConfigError",
    "Control",
    "Fallback",
    "Fault",
    "Fuse",
    "RoutingConfig",
    "RoutingFile",
    "Rung",
    "Sla",
    "Surface",
    "Target",
    "Tenant",
    "Tier",
    "Upstream",
    "changes",
    "held_back",
    "load",
    "load_text",
]
