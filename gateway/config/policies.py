"""The policies that hold for every route: breakers, fallback, caches, and where the gateway listens."""

import re
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from gateway.config.section import Listen, NameList, Section


class HealthWeights(Section):
    """How much each sign counts in an upstream's ill health, 0 to 1; see gateway/breakers/health.py for the rule."""

    timeouts: float = Field(default=0.6, ge=0, le=1)
    token_ceiling: float = Field(default=0.2, ge=0, le=1)
    memory_pressure: float = Field(default=0.2, ge=0, le=1)


class Brownout(Section):
    """When a region is skipped: the breakers of so many tenants (or of all, if fewer) are open there."""

    tenants: int = Field(default=3, ge=1)


class Breaker(Section):
    """When an upstream is given a rest."""

    consecutive_failures: int = Field(default=5, ge=1)
    failure_ratio: float = Field(default=0.5, gt=0, le=1)
    """The share of failures in `window_s` that opens it too, once `window_calls` were made."""
    window_s: float = Field(default=60, gt=0, le=3600)
    window_calls: int = Field(default=20, ge=1)
    cooldown_s: float = Field(default=30, gt=0)
    cooldown_max_s: float = Field(default=600, gt=0)
    """The cooldown doubles with each opening in a row, up to this; a Retry-After is honoured up to it."""
    jitter: float = Field(default=0.1, ge=0, le=1)
    """Up to this share is added to a cooldown at random, so that probes do not come all at once."""
    ramp_s: float = Field(default=10, ge=0)
    """After closing, the share of calls that pass grows over this time; 0 = all at once."""
    unhealthy_at: float = Field(default=0.5, gt=0, le=1)
    """The blended ill health at which a breaker opens."""
    health: HealthWeights = HealthWeights()
    brownout: Brownout = Brownout()

    @model_validator(mode="after")
    def _cooldowns_fit(self) -> "Breaker":
        if self.cooldown_max_s < self.cooldown_s:
            raise ValueError("cooldown_max_s is less than cooldown_s")
        return self


class Fallback(Section):
    """The ladder of aliases that name none, and what a request may spend beyond its first choice."""

    max_extra_spend_usd: Decimal = Field(default=Decimal("0.05"), ge=0)
    max_extra_month_usd: Decimal | None = Field(default=None, ge=0)
    """All tenants' fallbacks in a calendar month (UTC); None = no bound."""
    chain: NameList = ()


class Cache(Section):
    """The gateway's own answer cache and its use of hosts' caches."""

    mode: Annotated[
        Literal["off", "exact", "template", "read_only", "write_only"],
        BeforeValidator(lambda written: "off" if written is False else written),  # YAML reads a bare off as false.
    ] = "off"
    """exact keeps whole answers; read_only and write_only are exact in one direction; template marks stable prefixes
    for the vendor's own cache."""
    max_bytes: int = Field(default=67_108_864, ge=0)
    answer_bytes_max: int = Field(default=1_048_576, ge=1)
    ttl_s: float = Field(default=300, gt=0)
    policy_epoch: str = "1"
    """Part of every key: change it, and no answer kept before is used again."""
    kv_reuse_policy: Literal["sticky", "prefix", "round_robin", "least_loaded"] = "round_robin"
    prefix_bytes: int = Field(default=1024, ge=64)
    """How much of a prompt's start tells sessions apart under `prefix`."""


DATABASE = re.compile(r"(sqlite|postgresql)(\+\w+)?://\S*")


def _database(url: SecretStr) -> SecretStr:
    if url.get_secret_value() and not DATABASE.fullmatch(url.get_secret_value()):
        raise ValueError("must be postgresql+psycopg://user:password@host/name, or empty for SQLite under data_dir")
    return url


class Control(Section):
    """Where what must outlive the process is kept: months' spend, owners of files."""

    url: Annotated[SecretStr, AfterValidator(_database)] = SecretStr("")
    """A SQLAlchemy URL such as postgresql+psycopg://user:password@host/name; empty = SQLite in data_dir/control."""


class RemoteMac(Section):
    """What the operator records of its remote Macs' acceptance; shown by `tollway doctor`."""

    soak_hours: float = Field(default=0, ge=0)
    notarized_checklist_id: str = ""


class OnFull(StrEnum):
    """What a gateway does whose journal is full, for nothing may be sent that could not be billed for."""

    SHED = "shed"
    """Refuse requests until there is room again."""
    STOP = "stop"
    """Drain and end, so that others are asked instead."""


class GatewaySection(Section):
    """Where the gateway listens and how clients are told to reach it."""

    listen: Listen = "127.0.0.1:8080"
    admin_key: SecretStr = SecretStr("")
    hash_key: SecretStr = SecretStr("")
    """Keys the HMACs of caller-given ids; empty = one generated under data_dir."""
    public_url: str = ""
    """The gateway's public address (AGGREGATION_BASE_URL); empty = http://<listen>."""
    client_base_url: str = ""
    """What clients set as OPENAI_BASE_URL; empty = public_url + /v1."""
    stream_chunk_bytes: int = Field(default=0, ge=0, le=1_048_576)
    """0 relays each piece at once; N lets small pieces gather to N bytes (20 ms at most)."""
    max_body_bytes: int = Field(default=33_554_432, ge=1024)
    max_file_bytes: int = Field(default=536_870_912, ge=1024)
    """The longest file that POST /v1/files takes."""
    journal_max_bytes: int = Field(default=2_147_483_648, ge=1_048_576)
    journal_on_full: OnFull = OnFull.SHED
    """What becomes of the gateway while the journal, or the disk under it, takes no more."""
    drain_s: float = Field(default=8, ge=0, le=3600)
    """How long streams may go on after SIGTERM."""
