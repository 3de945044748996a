"""The routing part of the configuration file, and the frozen value the gateway runs on.

Field names are the file's keys; a key this module does not know is a fault. Sizes that would let a tier never serve
are refused here, not discovered under load.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, SecretStr, Tag, field_validator

from gateway.config.faults import Fault, did_you_mean
from gateway.domain.ids import Alias, TenantId, TierName, UpstreamId
from gateway.domain.rate_card import RateBook, RateCard, RateCardInvalid
from gateway.domain.usage import TokenClass

SIMPLE_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$"
"""Aliases, tenants, tiers and upstreams: safe in a header, a metric label and a path."""

Name = Annotated[str, Field(pattern=SIMPLE_NAME)]
Listen = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:]+\]|[^\s:]+):\d{1,5}$")]


def _split(value: object) -> object:
    """A comma-separated text is a list; environment variables carry lists this way."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


NameList = Annotated[tuple[Name, ...], BeforeValidator(_split)]


class Section(BaseModel):
    """A part of the file: frozen, and strict about keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


DIGEST_PREFIX = "sha256:"


def key_digest(written: str) -> bytes:
    """The SHA-256 of a key: of the key itself, or as `sha256:` and hexadecimal digits have it. Raises ValueError."""
    if written.startswith(DIGEST_PREFIX):
        try:
            digest = bytes.fromhex(written.removeprefix(DIGEST_PREFIX))
        except ValueError:
            digest = b""
        if len(digest) != hashlib.sha256().digest_size:
            raise ValueError("sha256: takes 64 hexadecimal digits; `printf %s KEY | sha256sum` prints them")
        return digest
    if len(written) < 16:
        raise ValueError("a key has fewer than 16 characters; make one with `openssl rand -hex 24`")
    return hashlib.sha256(written.encode()).digest()


class Tenant(Section):
    """Who calls; its keys, its weight in a shared queue, the tiers it may ask for (none listed = all)."""

    name: Name
    keys: tuple[SecretStr, ...] = Field(min_length=1)
    weight: int = Field(default=1, ge=1, le=1000)
    tiers: NameList = ()

    @field_validator("keys")
    @classmethod
    def _digests(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(SecretStr(DIGEST_PREFIX + key_digest(key.get_secret_value()).hex()) for key in keys)

    @property
    def key_digests(self) -> tuple[bytes, ...]:
        """SHA-256 of each key; the keys themselves are not kept."""
        return tuple(key_digest(key.get_secret_value()) for key in self.keys)


class Tier(Section):
    """A pool of concurrency with its own queue and its own patience. Durations in seconds."""

    name: Name
    max_inflight: int = Field(ge=1, le=100_000)
    max_queue: int = Field(default=0, ge=0, le=1_000_000)
    max_queue_seconds: float = Field(default=2, ge=0, le=3600)
    first_token_timeout_s: float = Field(default=30, gt=0, le=3600)
    total_timeout_s: float = Field(default=600, gt=0, le=86_400)
    micro_batch_ms: int = Field(default=0, ge=0)
    max_batch_tokens: int = Field(default=0, ge=0)

    @field_validator("micro_batch_ms", "max_batch_tokens")
    @classmethod
    def _not_yet(cls, value: int) -> int:
        if value:
            raise ValueError("this version sends each request alone; set 0")
        return value


class Upstream(Section):
    """An endpoint that speaks the OpenAI wire, and the account there that is billed."""

    name: Name
    base_url: str = Field(pattern=r"^https?://[^\s/]+(/\S*)?$")
    api_key: SecretStr = SecretStr("")
    provider: Name
    account: Name
    region: str = ""
    quantization: str = "none"
    pattern: Literal["direct", "edge", "aggregation", "metal"] = "direct"
    running_usage: bool = False
    """Ask for usage in every chunk (vLLM's `continuous_usage_stats`), so that a broken stream leaves a floor."""


class Target(Section):
    """A model at an upstream."""

    upstream: Name
    model: str = Field(min_length=1)


class AliasRung(Section):
    """A rung that stands for another alias's targets."""

    alias: Name


def _kind_of_rung(value: object) -> str:
    written = value if isinstance(value, dict) else {"alias": ""} if isinstance(value, AliasRung) else {}
    return "AliasRung" if "alias" in written else "Target"


Rung = Annotated[
    Annotated[Target, Tag("Target")] | Annotated[AliasRung, Tag("AliasRung")], Discriminator(_kind_of_rung)
]


class AliasConfig(Section):
    """What clients call a model: where it is served, and the ladder below."""

    name: Name
    tier: Name
    targets: tuple[Target, ...] = Field(min_length=1)
    fallback: tuple[Rung, ...] = ()
    max_output_tokens: int = Field(default=16_384, ge=1)
    """The most an answer can hold where the request does not say: what a worst case is reckoned with."""


class Breaker(Section):
    """When an upstream is given a rest."""

    consecutive_failures: int = Field(default=5, ge=1)
    cooldown_s: float = Field(default=30, gt=0)


class Fallback(Section):
    """The ladder of aliases that name none, and what a request may spend beyond its first choice."""

    max_extra_spend_usd: Decimal = Field(default=Decimal("0.05"), ge=0)
    chain: NameList = ()


class Cache(Section):
    """The gateway's own answer cache and its use of hosts' caches."""

    mode: str = "off"
    kv_reuse_policy: str = "round_robin"

    @field_validator("mode")
    @classmethod
    def _mode(cls, value: str) -> str:
        if value != "off":
            raise ValueError(f"{value!r} is not served by this version; set PROMPT_CACHE_MODE=off")
        return value

    @field_validator("kv_reuse_policy")
    @classmethod
    def _policy(cls, value: str) -> str:
        if value != "round_robin":
            raise ValueError(f"{value!r} is not served by this version; set KV_CACHE_REUSE_POLICY=round_robin")
        return value


class RemoteMac(Section):
    """What the operator records of its remote Macs' acceptance; shown by `tollway doctor`."""

    soak_hours: float = Field(default=0, ge=0)
    notarized_checklist_id: str = ""


class GatewaySection(Section):
    """Where the gateway listens and how clients are told to reach it."""

    listen: Listen = "127.0.0.1:8080"
    admin_key: SecretStr = SecretStr("")
    public_url: str = ""
    """The gateway's public address (AGGREGATION_BASE_URL); empty = http://<listen>."""
    client_base_url: str = ""
    """What clients set as OPENAI_BASE_URL; empty = public_url + /v1."""
    stream_chunk_bytes: int = Field(default=0, ge=0, le=1_048_576)
    """0 relays each piece at once; N lets small pieces gather to N bytes (20 ms at most)."""
    max_body_bytes: int = Field(default=33_554_432, ge=1024)
    journal_max_bytes: int = Field(default=2_147_483_648, ge=1_048_576)


class RateCardEntry(Section):
    """A card as the file writes it: dollars per million tokens, quoted or not, never rounded."""

    provider: Name
    model: str = Field(min_length=1)
    account: str = ""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    effective_from: datetime
    effective_to: datetime | None = None
    per_million_tokens: dict[str, Decimal] = Field(min_length=1)

    @field_validator("per_million_tokens")
    @classmethod
    def _classes(cls, prices: dict[str, Decimal]) -> dict[str, Decimal]:
        known = ["input", *(c.value for c in TokenClass if c is not TokenClass.INPUT_UNCACHED)]
        for name in prices:
            if name not in known:
                raise ValueError(f"no token class {name!r}" + did_you_mean(name, known))
        return prices

    def card(self) -> RateCard:
        """The card of the domain. Raises RateCardInvalid."""
        return RateCard(
            provider=self.provider,
            model=self.model,
            account=self.account,
            currency=self.currency,
            effective_from=self.effective_from,
            effective_to=self.effective_to,
            per_million={
                TokenClass.INPUT_UNCACHED if name == "input" else TokenClass(name): price
                for name, price in self.per_million_tokens.items()
            },
        )


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """All that the gateway runs on, whole and checked."""

    listen: str
    admin_key: SecretStr
    public_url: str
    client_base_url: str
    stream_chunk_bytes: int
    max_body_bytes: int
    journal_max_bytes: int
    tenants: Mapping[TenantId, Tenant]
    tiers: Mapping[TierName, Tier]
    upstreams: Mapping[UpstreamId, Upstream]
    aliases: Mapping[Alias, AliasConfig]
    breaker: Breaker
    fallback: Fallback
    cache: Cache
    rate_cards: RateBook


def named(value: object) -> object:
    """Give each entry of a mapping its own key as `name`."""
    if not isinstance(value, dict):
        return value
    return {key: {**inner, "name": str(key)} if isinstance(inner, dict) else inner for key, inner in value.items()}


class RoutingFile(Section):
    """The file's sections that route; deploy adds its own to these."""

    gateway: GatewaySection = GatewaySection()
    tenants: Annotated[dict[str, Tenant], BeforeValidator(named)] = Field(min_length=1)
    tiers: Annotated[dict[str, Tier], BeforeValidator(named)] = Field(min_length=1)
    upstreams: Annotated[dict[str, Upstream], BeforeValidator(named)] = Field(min_length=1)
    aliases: Annotated[dict[str, AliasConfig], BeforeValidator(named)] = Field(min_length=1)
    breaker: Breaker = Breaker()
    fallback: Fallback = Fallback()
    cache: Cache = Cache()
    remote_mac: RemoteMac = RemoteMac()
    rate_cards: tuple[RateCardEntry, ...] = ()

    def cross_check(self) -> list[Fault]:
        """Faults that take more than one section to see."""
        faults = [fault for name, tenant in self.tenants.items() for fault in self._tenant_faults(name, tenant)]
        faults += [fault for name, alias in self.aliases.items() for fault in self._alias_faults(name, alias)]
        for index, name in enumerate(self.fallback.chain):
            if name not in self.aliases:
                faults.append(
                    Fault(f"fallback.chain[{index}]", f"no alias {name!r}" + did_you_mean(name, self.aliases))
                )
        return faults + self._key_faults() + self._card_faults()

    def _tenant_faults(self, name: str, tenant: Tenant) -> list[Fault]:
        return [
            Fault(f"tenants.{name}.tiers[{i}]", f"no tier {tier!r}" + did_you_mean(tier, self.tiers))
            for i, tier in enumerate(tenant.tiers)
            if tier not in self.tiers
        ]

    def _alias_faults(self, name: str, alias: AliasConfig) -> list[Fault]:
        faults = []
        if alias.tier not in self.tiers:
            faults.append(
                Fault(f"aliases.{name}.tier", f"no tier {alias.tier!r}" + did_you_mean(alias.tier, self.tiers))
            )
        for kind, rungs in (("targets", alias.targets), ("fallback", alias.fallback)):
            for i, rung in enumerate(rungs):
                path = f"aliases.{name}.{kind}[{i}]"
                if isinstance(rung, Target) and rung.upstream not in self.upstreams:
                    hint = did_you_mean(rung.upstream, self.upstreams)
                    faults.append(Fault(f"{path}.upstream", f"no upstream {rung.upstream!r}{hint}"))
                elif isinstance(rung, AliasRung) and rung.alias == name:
                    faults.append(Fault(f"{path}.alias", "an alias cannot fall back on itself"))
                elif isinstance(rung, AliasRung) and rung.alias not in self.aliases:
                    faults.append(
                        Fault(f"{path}.alias", f"no alias {rung.alias!r}" + did_you_mean(rung.alias, self.aliases))
                    )
        return faults

    def _key_faults(self) -> list[Fault]:
        owners: dict[bytes, str] = {}
        faults = []
        for name, tenant in self.tenants.items():
            for i, digest in enumerate(tenant.key_digests):
                other = owners.setdefault(digest, name)
                if other != name:
                    faults.append(
                        Fault(
                            f"tenants.{name}.keys[{i}]", f"this key is also tenant {other!r}'s; a key names one tenant"
                        )
                    )
        return faults

    def _card_faults(self) -> list[Fault]:
        faults = []
        cards = []
        for i, entry in enumerate(self.rate_cards):
            try:
                cards.append(entry.card())
            except RateCardInvalid as error:
                faults.append(Fault(f"rate_cards[{i}]", str(error)))
        try:
            RateBook(cards)
        except RateCardInvalid as error:
            faults.append(Fault("rate_cards", str(error)))
        return faults

    def routing(self) -> RoutingConfig:
        """The value the gateway runs on; call it only on a file without faults."""
        public_url = (self.gateway.public_url or f"http://{self.gateway.listen}").rstrip("/")
        return RoutingConfig(
            listen=self.gateway.listen,
            admin_key=self.gateway.admin_key,
            public_url=public_url,
            client_base_url=(self.gateway.client_base_url or f"{public_url}/v1").rstrip("/"),
            stream_chunk_bytes=self.gateway.stream_chunk_bytes,
            max_body_bytes=self.gateway.max_body_bytes,
            journal_max_bytes=self.gateway.journal_max_bytes,
            tenants=MappingProxyType({TenantId(k): v for k, v in self.tenants.items()}),
            tiers=MappingProxyType({TierName(k): v for k, v in self.tiers.items()}),
            upstreams=MappingProxyType({UpstreamId(k): v for k, v in self.upstreams.items()}),
            aliases=MappingProxyType({Alias(k): v for k, v in self.aliases.items()}),
            breaker=self.breaker,
            fallback=self.fallback,
            cache=self.cache,
            rate_cards=RateBook(entry.card() for entry in self.rate_cards),
        )
