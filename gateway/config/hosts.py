"""Hosts as the file writes them: machines rented or owned, the upstreams they stand for, and what they cost."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from gateway.config.faults import Fault, did_you_mean
from gateway.config.section import Name, NameList, Section, shaped
from gateway.config.upstreams import Upstream, Url
from gateway.domain.host import Host, HostInvalid, Power, Rent, in_order, months_after

Amount = Annotated[Decimal, Field(ge=0, le=10**9, decimal_places=12)]


class PowerEntry(Section):
    """What a host draws and what a kilowatt hour costs, in the rent's currency."""

    idle_watts: Amount
    busy_watts: Amount
    per_kwh: Amount


class RentEntry(Section):
    """What a host costs from one instant to another: an hourly rent, or a price spread over a life."""

    effective_from: datetime
    effective_to: datetime | None = None
    """None = until the next entry begins, or for ever."""
    per_hour: Amount | None = None
    price: Amount | None = None
    residual: Amount = Decimal(0)
    """What is left of the price at the end of its life."""
    life_hours: int | None = Field(default=None, ge=1, le=1_000_000)
    life_months: int | None = Field(default=None, ge=1, le=1200)
    power: PowerEntry | None = None
    egress_per_gb: Amount = Decimal(0)
    """For 10^9 bytes that it sends."""
    currency: Annotated[str, shaped("[A-Z]{3}", "a currency's three capital letters, such as USD")] = "USD"
    usd_rate: Annotated[Decimal, Field(gt=0, le=10**6, decimal_places=12)] | None = None
    """Dollars for one unit of the currency, as booked; needed where that is not USD."""

    def faults(self, path: str) -> Iterator[Fault]:
        """What contradicts itself in it."""
        for name, at in (("effective_from", self.effective_from), ("effective_to", self.effective_to)):
            if at is not None and at.tzinfo is None:
                yield Fault(f"{path}.{name}", "needs a time zone; write it as 2026-01-01T00:00:00Z")
        if (self.per_hour is None) == (self.price is None):
            yield Fault(path, "give per_hour (it is rented) or price (it is owned); one of the two")
        lives = [life for life in (self.life_hours, self.life_months) if life is not None]
        if self.price is not None and len(lives) != 1:
            yield Fault(path, "a price is spread over a life: give life_hours or life_months; one of the two")
        if self.price is None and (lives or self.residual):
            yield Fault(path, "life_hours, life_months and residual go with a price, and there is none")
        if self.price is not None and self.residual > self.price:
            yield Fault(f"{path}.residual", "is more than the price, so owning it would earn money")
        if (self.currency == "USD") != (self.usd_rate is None):
            yield Fault(
                f"{path}.usd_rate",
                "a dollar is a dollar; leave it out"
                if self.currency == "USD"
                else f"say how many dollars one {self.currency} is booked at, such as usd_rate: 1.08",
            )

    def rent(self) -> Rent:
        """The rent of the domain; only of an entry without faults."""
        begins = self.effective_from.astimezone(UTC)
        life_end = None
        if self.life_hours is not None:
            life_end = begins + timedelta(hours=self.life_hours)
        elif self.life_months is not None:
            life_end = months_after(begins, self.life_months)
        return Rent(
            effective_from=begins,
            effective_to=self.effective_to.astimezone(UTC) if self.effective_to else None,
            per_hour=self.per_hour or Decimal(0),
            price=self.price or Decimal(0),
            residual=self.residual,
            life_end=life_end,
            power=Power(**dict(self.power)) if self.power else None,
            egress_per_gb=self.egress_per_gb,
            currency=self.currency,
            usd_rate=self.usd_rate or Decimal(1),
        )


class HostEntry(Section):
    """A machine, by the name that its attempts carry."""

    name: Name
    hardware: str = Field(default="", max_length=128)
    """What it is, in the operator's words."""
    upstreams: NameList = ()
    """Upstreams that are this machine."""
    addresses: tuple[Url, ...] = ()
    """Of upstreams with several hosts, the base URLs that are this machine."""
    rent: tuple[RentEntry, ...] = Field(min_length=1)

    def host(self) -> Host:
        """The host of the domain. Raises HostInvalid."""
        return Host(self.name, self.hardware, in_order(entry.rent() for entry in self.rent))


Address = tuple[str, str]
"""An upstream's name and the base URL of one of its hosts."""


def host_names(hosts: Mapping[str, HostEntry], upstreams: Iterable[Upstream]) -> dict[Address, str]:
    """The host that stands behind each address of an upstream; addresses without one are not there."""
    return {
        (upstream.name, url): host.name
        for upstream in upstreams
        for url in upstream.base_urls
        for host in hosts.values()
        if upstream.name in host.upstreams or url in host.addresses
    }


def host_faults(hosts: Mapping[str, HostEntry], upstreams: Mapping[str, Upstream]) -> Iterator[Fault]:
    """What is wrong with the hosts, in themselves and beside the upstreams."""
    urls = {url for upstream in upstreams.values() for url in upstream.base_urls}
    taken: dict[Address, str] = {}
    for name, entry in hosts.items():
        path = f"hosts.{name}"
        if not entry.upstreams and not entry.addresses:
            yield Fault(path, "stands for nothing; name its upstreams, or addresses of theirs")
        for i, upstream in enumerate(entry.upstreams):
            if upstream not in upstreams:
                yield Fault(f"{path}.upstreams[{i}]", f"no upstream {upstream!r}{did_you_mean(upstream, upstreams)}")
            elif upstreams[upstream].hosts:
                yield Fault(f"{path}.upstreams[{i}]", f"{upstream!r} has several hosts; name this one's addresses")
        for i, url in enumerate(entry.addresses):
            if url not in urls:
                yield Fault(f"{path}.addresses[{i}]", "no upstream has this base_url, or it among its hosts")
        for address in host_names({name: entry}, upstreams.values()):
            other = taken.setdefault(address, name)
            if other != name:
                yield Fault(
                    path, f"upstream {address[0]!r} at this address is host {other!r} already; a machine is one host"
                )
        inner = [fault for i, rent in enumerate(entry.rent) for fault in rent.faults(f"{path}.rent[{i}]")]
        yield from inner
        if not inner:
            try:
                entry.host()
            except HostInvalid as error:
                yield Fault(f"{path}.rent", str(error))
