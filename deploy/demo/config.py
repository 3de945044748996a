"""Writes what the demo runs on into its data folder: Tollway's whole configuration, and each vendor's own.

The rate cards in Tollway's file and the prices in the vendors' files are written down separately, as they are in life;
that they agree is what the reconciliation finds out. Keys are made once per folder and kept in files of mode 0600.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.demo.options import DemoOptions
from deploy.demo.traffic.plan import TENANTS
from sql.credentials import ensure_file

CONFIG_NAME = "tollway.yaml"

HEADER = """\
# The demo's configuration, written anew at each start of `tollway demo`.
# For one with explanations see deploy/config/tollway.example.yaml.
"""

SURCHARGE = {"surcharge_share": "0.08", "surcharge_least": "0.000100"}
"""What a vendor hides in its output lines with --surcharge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorFiles:
    """One vendor's place: its upstream and account at Tollway, its file, its address, and the form of its export."""

    name: str
    provider: str
    account: str
    config: Path
    listen: str
    admin_key: str
    export_format: str
    """csv or json."""

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{self.listen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFiles:
    """What was written."""

    data: Path
    config: Path
    tenant_keys: Mapping[str, str]
    vendors: tuple[VendorFiles, ...]


def write(options: DemoOptions) -> DemoFiles:
    """Write the files of a demo. The same folder keeps its keys. Raises OSError."""
    data = options.data.resolve()
    data.mkdir(parents=True, exist_ok=True)
    keys = {tenant: ensure_file(data / "secrets" / f"tenant-{tenant}") for tenant in TENANTS}
    places = {name: f"127.0.0.1:{port}" for name, port in zip(_VENDORS, options.ports.vendors, strict=True)}
    vendors = tuple(_write_vendor(name, data, listen, options) for name, listen in places.items())
    config = data / CONFIG_NAME
    text = yaml.safe_dump(_tollway(options, places), sort_keys=False, allow_unicode=True, width=120)
    _replace(config, HEADER + text)
    return DemoFiles(data=data, config=config, tenant_keys=keys, vendors=vendors)


def _replace(path: Path, text: str) -> None:
    """The file appears whole or not at all, for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def _tollway(options: DemoOptions, places: Mapping[str, str]) -> dict[str, Any]:
    """Tollway's own file. Paths in it are relative to its folder, which is the data folder."""
    ports = options.ports
    return {
        "gateway": {"listen": f"127.0.0.1:{ports.gateway}"},
        "collector": {
            "otlp_http": f"127.0.0.1:{ports.otlp_http}",
            "otlp_grpc": f"127.0.0.1:{ports.otlp_grpc}",
        },
        "dashboards": {"listen": f"127.0.0.1:{ports.dashboards}"},
        "worker": {"listen": f"127.0.0.1:{ports.worker}"},
        "store": {"listen": f"127.0.0.1:{ports.store}"},
        "data_dir": ".",
        "tenants": {
            tenant: {"keys": [f"${{file:secrets/tenant-{tenant}}}"], "tiers": list(_TIERS)} for tenant in TENANTS
        },
        "tiers": _TIERS,
        "upstreams": {
            name: {
                "base_url": f"http://{places[name]}/v1",
                "api_key": f"${{file:secrets/vendor-{name}}}",
                "provider": vendor["provider"],
                "account": vendor["account"],
                "region": vendor["region"],
                "quantization": "none",
                "pattern": "direct",
                "running_usage": True,
            }
            for name, vendor in _VENDORS.items()
        },
        "aliases": _ALIASES,
        "breaker": {"consecutive_failures": 5, "cooldown_s": 2},
        "fallback": {"max_extra_spend_usd": "0.05"},
        "cache": {"mode": "off"},
        "rate_cards": _RATE_CARDS,
    }


_TIERS: dict[str, Any] = {
    "interactive": {
        "max_inflight": 48,
        "max_queue": 256,
        "max_queue_seconds": 4,
        "first_token_timeout_s": 2,
        "total_timeout_s": 30,
    },
    "agent": {
        "max_inflight": 48,
        "max_queue": 256,
        "max_queue_seconds": 8,
        "first_token_timeout_s": 8,
        "total_timeout_s": 60,
    },
    "batch": {
        "max_inflight": 16,
        "max_queue": 1024,
        "max_queue_seconds": 30,
        "first_token_timeout_s": 20,
        "total_timeout_s": 120,
    },
}

_ALIASES: dict[str, Any] = {
    "fast": {
        "tier": "interactive",
        "targets": [{"upstream": "openai-us", "model": "gpt-4o-mini"}],
        "fallback": [{"upstream": "azure-eu", "model": "gpt-4o-mini"}],
        "max_output_tokens": 4096,
    },
    "agent-coder": {
        "tier": "agent",
        "targets": [{"upstream": "azure-eu", "model": "gpt-4.1-mini"}],
        "fallback": [{"upstream": "openai-us", "model": "gpt-4.1-mini"}],
        "max_output_tokens": 4096,
    },
}


def _card(provider: str, model: str, uncached: str, cached: str, output: str) -> dict[str, Any]:
    return {
        "provider": provider,
        "model": model,
        "currency": "USD",
        "effective_from": "2023-01-01T00:00:00Z",
        "per_million_tokens": {"input": uncached, "cache_read": cached, "output": output},
    }


_RATE_CARDS = [
    _card("openai", "gpt-4o-mini", "0.15", "0.075", "0.60"),
    _card("openai", "gpt-4.1-mini", "0.40", "0.10", "1.60"),
    _card("azure.ai.openai", "gpt-4o-mini", "0.165", "0.0825", "0.66"),
    _card("azure.ai.openai", "gpt-4.1-mini", "0.44", "0.11", "1.76"),
]

_VENDORS: dict[str, dict[str, Any]] = {
    "openai-us": {
        "provider": "openai",
        "account": "org-main",
        "region": "us-east-1",
        "export_format": "csv",
        "faults": {
            "error": 0.03,
            "rate_limited": 0.02,
            "break_before_first_token": 0.02,
            "break_after_second_chunk": 0.035,
            "slow_first_token": 0.025,
            "slow_first_token_s": 4.0,
            "outages": [[90, 108]],
        },
        "prices": {
            "gpt-4o-mini": ("gpt-4o-mini-2024-07-18", {"input": "0.15", "cached input": "0.075", "output": "0.60"}),
            "gpt-4.1-mini": ("gpt-4.1-mini-2025-04-14", {"input": "0.40", "cached input": "0.10", "output": "1.60"}),
        },
    },
    "azure-eu": {
        "provider": "azure.ai.openai",
        "account": "sub-main",
        "region": "westeurope",
        "export_format": "json",
        "faults": {
            "error": 0.04,
            "rate_limited": 0.01,
            "break_before_first_token": 0.03,
            "break_after_second_chunk": 0.03,
            "slow_first_token": 0.01,
            "slow_first_token_s": 3.0,
        },
        "prices": {
            "gpt-4o-mini": ("gpt-4o-mini-2024-07-18", {"input": "0.165", "cached input": "0.0825", "output": "0.66"}),
            "gpt-4.1-mini": ("gpt-4.1-mini-2025-04-14", {"input": "0.44", "cached input": "0.11", "output": "1.76"}),
        },
    },
}


def _write_vendor(name: str, data: Path, listen: str, options: DemoOptions) -> VendorFiles:
    """A vendor's own file: its prices, its pace, its faults, and the keys it knows."""
    vendor = _VENDORS[name]
    key, admin_key = (ensure_file(data / "secrets" / f"vendor-{name}{end}") for end in ("", "-admin"))
    config = data / "vendors" / f"{name}.json"
    settings = {
        "name": name,
        "organization_id": vendor["account"],
        "project_id": f"proj-{name}",
        "keys": {key: f"key_tollway_{name}"},
        "admin_key": admin_key,
        "models": {
            model: {"snapshot": snapshot, "per_million": prices}
            for model, (snapshot, prices) in vendor["prices"].items()
        },
        "ledger": str(data / "vendors" / f"{name}.ledger.jsonl"),
        "faults": vendor["faults"],
        "billing": SURCHARGE if options.surcharge else {},
        "seed": f"{options.seed}/{name}",
        "witness": True,
    }
    _replace(config, json.dumps(settings, indent=2) + "\n")
    return VendorFiles(
        name=name,
        provider=vendor["provider"],
        account=vendor["account"],
        config=config,
        listen=listen,
        admin_key=admin_key,
        export_format=vendor["export_format"],
    )
