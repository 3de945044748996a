"""Who calls: tenants, their keys, and what each may ask for and spend."""

import hashlib
from decimal import Decimal
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from gateway.config.section import Name, NameList, Section

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


class Budget(Section):
    """What a tenant may spend in a calendar month (UTC), in dollars at the cards' prices. None = no bound."""

    month_usd: Decimal | None = Field(default=None, ge=0)
    extra_month_usd: Decimal | None = Field(default=None, ge=0)
    """Of that, what fallbacks may cost beyond first choices."""


class Tenant(Section):
    """Who calls; its keys, its weight in a shared queue, the tiers and aliases it may ask for (none listed = all)."""

    name: Name
    keys: tuple[SecretStr, ...] = Field(min_length=1)
    weight: int = Field(default=1, ge=1, le=1000)
    tiers: NameList = ()
    aliases: NameList = ()
    """Its aliases; none listed = all whose tier it may ask for."""
    prices: Literal["list", "contract"] = "list"
    """Which prices GET /v1/models shows it."""
    requests_per_minute: int = Field(default=0, ge=0)
    """0 = no bound."""
    tokens_per_minute: int = Field(default=0, ge=0)
    """Prompt and answer, estimated before and trued up after; 0 = no bound."""
    budget: Budget = Budget()

    @field_validator("keys")
    @classmethod
    def _digests(cls, keys: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        return tuple(SecretStr(DIGEST_PREFIX + key_digest(key.get_secret_value()).hex()) for key in keys)

    @property
    def key_digests(self) -> tuple[bytes, ...]:
        """SHA-256 of each key; the keys themselves are not kept."""
        return tuple(key_digest(key.get_secret_value()) for key in self.keys)
