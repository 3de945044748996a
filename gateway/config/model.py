"""The routing part of the configuration file, and the frozen value the gateway runs on.

Field names are the file's keys; a key no section knows is a fault. Sizes that would let a tier never serve are refused
here, not discovered under load.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr

from gateway.config.cards import RateCardEntry
from gateway.config.faults import Fault, did_you_mean
from gateway.config.fingerprint import fingerprint
from gateway.config.hosts import HostEntry, host_faults
from gateway.config.policies import Breaker, Cache, Control, Fallback, GatewaySection, OnFull, RemoteMac
from gateway.config.section import Section, named
from gateway.config.tenants import Tenant
from gateway.config.tiers import Tier
from gateway.config.upstreams import AliasConfig, Rung, Target, Upstream
from gateway.domain.card_file import CardFile, together
from gateway.domain.ids import Alias, TenantId, TierName, UpstreamId
from gateway.domain.rate_card import RateBook, RateCardInvalid


@dataclass(frozen=True, slots=True)
class RoutingConfig:
    """All that the gateway runs on, whole and checked."""

    listen: str
    admin_key: SecretStr
    hash_key: SecretStr
    public_url: str
    client_base_url: str
    stream_chunk_bytes: int
    max_body_bytes: int
    max_file_bytes: int
    journal_max_bytes: int
    journal_on_full: OnFull
    drain_s: float
    tenants: Mapping[TenantId, Tenant]
    tiers: Mapping[TierName, Tier]
    upstreams: Mapping[UpstreamId, Upstream]
    aliases: Mapping[Alias, AliasConfig]
    breaker: Breaker
    fallback: Fallback
    cache: Cache
    control_url: SecretStr
    rate_cards: RateBook
    rates_version: str
    """File and hash of the approved cards among them; "" = none was approved."""
    hosts: Mapping[str, HostEntry]
    fingerprint: str
    """Of everything that the file says, its secrets included; it names the configuration that serves."""


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
    control: Control = Control()
    remote_mac: RemoteMac = RemoteMac()
    rate_cards: tuple[RateCardEntry, ...] = ()
    hosts: Annotated[dict[str, HostEntry], BeforeValidator(named)] = Field(default_factory=dict)

    def cross_check(self) -> list[Fault]:
        """Faults that take more than one section to see."""
        faults = [fault for name, tenant in self.tenants.items() for fault in self._tenant_faults(name, tenant)]
        faults += [fault for name, alias in self.aliases.items() for fault in self._alias_faults(name, alias)]
        for index, name in enumerate(self.fallback.chain):
            if name not in self.aliases:
                faults.append(
                    Fault(f"fallback.chain[{index}]", f"no alias {name!r}" + did_you_mean(name, self.aliases))
                )
        faults += host_faults(self.hosts, self.upstreams)
        return faults + self._upstream_faults() + self._key_faults() + self._card_faults()

    def _tenant_faults(self, name: str, tenant: Tenant) -> list[Fault]:
        faults = [
            Fault(f"tenants.{name}.tiers[{i}]", f"no tier {tier!r}" + did_you_mean(tier, self.tiers))
            for i, tier in enumerate(tenant.tiers)
            if tier not in self.tiers
        ]
        return faults + [
            Fault(f"tenants.{name}.aliases[{i}]", f"no alias {alias!r}" + did_you_mean(alias, self.aliases))
            for i, alias in enumerate(tenant.aliases)
            if alias not in self.aliases
        ]

    def _upstream_faults(self) -> list[Fault]:
        faults = [
            Fault(f"upstreams.{name}.tenant", f"no tenant {up.tenant!r}" + did_you_mean(up.tenant, self.tenants))
            for name, up in self.upstreams.items()
            if up.tenant and up.tenant not in self.tenants
        ]
        regions = {up.region for up in self.upstreams.values()}
        return faults + [
            Fault(f"tiers.{name}.residency[{i}]", f"no upstream is in {region!r}" + did_you_mean(region, regions))
            for name, tier in self.tiers.items()
            for i, region in enumerate(tier.residency)
            if region not in regions
        ]

    def _alias_faults(self, name: str, alias: AliasConfig) -> list[Fault]:
        faults = []
        if alias.tier not in self.tiers:
            faults.append(
                Fault(f"aliases.{name}.tier", f"no tier {alias.tier!r}" + did_you_mean(alias.tier, self.tiers))
            )
        faults += self._rung_faults(name, "targets", alias.targets) + self._rung_faults(
            name, "fallback", alias.fallback
        )
        for tier, own in alias.tiers.items():
            if tier not in self.tiers:
                faults.append(Fault(f"aliases.{name}.tiers.{tier}", "no such tier" + did_you_mean(tier, self.tiers)))
            elif (own.hedge_after_s or 0) >= (total_s := self.tiers[tier].total_timeout_s):
                problem = f"not less than the tier's total_timeout_s of {total_s:g}, so nothing would ever be hedged"
                faults.append(
                    Fault(f"aliases.{name}.tiers.{tier}.hedge_after_s", f"{problem}; lower it, or 0 for never")
                )
            faults += self._rung_faults(name, f"tiers.{tier}.targets", own.targets or ())
            faults += self._rung_faults(name, f"tiers.{tier}.fallback", own.fallback or ())
        slots = self.tiers[alias.tier].max_inflight if alias.tier in self.tiers else alias.max_inflight
        if alias.max_inflight > slots:
            problem = f"{alias.max_inflight} is more than the {slots} slots of its tier {alias.tier!r}"
            faults.append(Fault(f"aliases.{name}.max_inflight", f"{problem}; lower it, or leave it out for no bound"))
        return faults

    def _rung_faults(self, name: str, kind: str, rungs: tuple[Rung, ...]) -> list[Fault]:
        faults = []
        for i, rung in enumerate(rungs):
            path = f"aliases.{name}.{kind}[{i}]"
            if isinstance(rung, Target) and rung.upstream not in self.upstreams:
                hint = did_you_mean(rung.upstream, self.upstreams)
                faults.append(Fault(f"{path}.upstream", f"no upstream {rung.upstream!r}{hint}"))
            elif isinstance(rung, Target):
                continue
            elif rung.alias == name:
                faults.append(Fault(f"{path}.alias", "an alias cannot fall back on itself"))
            elif rung.alias not in self.aliases:
                hint = did_you_mean(rung.alias, self.aliases)
                faults.append(Fault(f"{path}.alias", f"no alias {rung.alias!r}{hint}"))
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
        place_of = {}
        for i, entry in enumerate(self.rate_cards):
            try:
                card = entry.card()
                place_of[id(card)] = (f"rate_cards[{i}]", card)
            except RateCardInvalid as error:
                faults.append(Fault(f"rate_cards[{i}]", str(error)))
        try:
            RateBook(card for _, card in place_of.values())
        except RateCardInvalid as error:
            places = [place for place in (place_of.get(id(card), ("", None))[0] for card in error.cards) if place]
            faults.append(Fault(places[-1] if places else "rate_cards", str(error)))
        return faults

    def book(self, approved: CardFile | None = None) -> RateBook:
        """The cards in force: the approved ones, and the file's own whose key no approval has taken over."""
        return RateBook(together((entry.card() for entry in self.rate_cards), approved))

    def routing(self, approved: CardFile | None = None) -> RoutingConfig:
        """The value the gateway runs on; call it only on a file without faults. `approved` are the cards of the newest
        version."""
        public_url = (self.gateway.public_url or f"http://{self.gateway.listen}").rstrip("/")
        return RoutingConfig(
            listen=self.gateway.listen,
            admin_key=self.gateway.admin_key,
            hash_key=self.gateway.hash_key,
            public_url=public_url,
            client_base_url=(self.gateway.client_base_url or f"{public_url}/v1").rstrip("/"),
            stream_chunk_bytes=self.gateway.stream_chunk_bytes,
            max_body_bytes=self.gateway.max_body_bytes,
            max_file_bytes=self.gateway.max_file_bytes,
            journal_max_bytes=self.gateway.journal_max_bytes,
            journal_on_full=self.gateway.journal_on_full,
            drain_s=self.gateway.drain_s,
            tenants=MappingProxyType({TenantId(k): v for k, v in self.tenants.items()}),
            tiers=MappingProxyType({TierName(k): v for k, v in self.tiers.items()}),
            upstreams=MappingProxyType({UpstreamId(k): v for k, v in self.upstreams.items()}),
            aliases=MappingProxyType({Alias(k): v for k, v in self.aliases.items()}),
            breaker=self.breaker,
            fallback=self.fallback,
            cache=self.cache,
            control_url=self.control.url,
            rate_cards=self.book(approved),
            rates_version=f"{approved.name} {approved.sha256[:16]}" if approved else "",
            hosts=MappingProxyType(self.hosts),
            fingerprint=fingerprint(self, approved.sha256 if approved else ""),
        )
