"""Where requests go: upstreams, and the aliases whose targets and ladders stand on them."""

import re
from enum import StrEnum
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, SecretStr, Tag, model_validator

from gateway.config.section import Name, Section, named, shaped

ROUTE = re.compile(r"/(chat/completions|completions|embeddings|responses|models|files|batches)/?$")


def _callable(url: str) -> str:
    """The URL, if calls can be made to it. Its text is in no message: it may hold a secret."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL: its host or its port cannot be read") from None
    if "@" in parts.netloc:
        raise ValueError("holds a user or a password, which logs and metrics would show; use api_key")
    if not parts.hostname or port == 0 or parts.fragment or not url.isascii():
        raise ValueError(
            "needs a host, a port from 1 to 65535 if any, ASCII only (%-encode the rest), and no #fragment"
        )
    return url


def _without_route(url: str) -> str:
    if found := ROUTE.search(urlsplit(url).path):
        raise ValueError(f"is a route's address; leave out /{found[1]}, the gateway puts routes behind it")
    return url


Url = Annotated[
    str,
    shaped(r"https?://[^\s/]+(/\S*)?", "an http:// or https:// address, mostly one ending in /v1"),
    AfterValidator(_callable),
    AfterValidator(_without_route),
]


class Surface(StrEnum):
    """A part of the OpenAI wire that an upstream may serve."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    FILES = "files"
    BATCHES = "batches"


class Upstream(Section):
    """An endpoint that speaks the OpenAI wire, and the account there that is billed."""

    name: Name
    base_url: Url
    hosts: tuple[Url, ...] = ()
    """Base URLs of further hosts that serve the same models for the same account."""
    api_key: SecretStr = SecretStr("")
    provider: Name
    account: Name
    region: str = ""
    deployment: Literal["", "global", "data-zone", "regional"] = ""
    """Where the vendor may run the model, if it prices that apart; it chooses rate cards. "" = not told."""
    quantization: str = "none"
    pattern: Literal["direct", "edge", "aggregation", "metal"] = "direct"
    running_usage: bool = False
    """Ask for usage in every chunk (vLLM's `continuous_usage_stats`), so that a broken stream leaves a floor."""
    serves: tuple[Surface, ...] = tuple(Surface)
    streams: bool = True
    """Answers may be streamed."""
    tool_formats: tuple[Literal["tools", "functions"], ...] = ("tools", "functions")
    """How requests may offer tools."""
    takes_arrays: bool = True
    """Embeddings and completions may carry many inputs in one call."""
    tenant: str = ""
    """The one tenant this account serves: nobody else's request goes there, and its caller-given ids go up as they are.
    Empty = shared by tenants."""
    max_inflight: int = Field(default=0, ge=0)
    requests_per_minute: int = Field(default=0, ge=0)
    tokens_per_minute: int = Field(default=0, ge=0)
    host_max_inflight: int = Field(default=0, ge=0)
    """Of several hosts, how many calls make one full, so that sessions move to another; 0 = never."""
    cache_idle_s: float = Field(default=300, ge=0)
    """How long its hosts keep a prompt's cache warm."""

    def takes(self, surface: str, *, stream: bool, tool_format: str) -> bool:
        """Whether it is declared to serve such a request; `tool_format` is "" for one without tools."""
        if surface not in self.serves or (stream and not self.streams):
            return False
        return not tool_format or tool_format in self.tool_formats

    def is_for(self, tenant: str) -> bool:
        """Whether that tenant's requests may go there: the account is shared, or its own."""
        return self.tenant in ("", tenant)

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Every host's base URL, the first one first."""
        return (self.base_url, *self.hosts)

    @model_validator(mode="after")
    def _hosts_differ(self) -> "Upstream":
        if len(set(self.base_urls)) < len(self.base_urls):
            raise ValueError("hosts names an address twice, or base_url again; leave out the second")
        return self


class Target(Section):
    """A model at an upstream."""

    upstream: Name
    model: str = Field(min_length=1)
    weight: int | None = Field(default=None, ge=0, le=10_000)
    """A canary's share of first choices; given for one target it is 1 for the others. None anywhere = in order."""
    context_tokens: int | None = Field(default=None, ge=1)
    """The model's context window; None = not known, so never skipped for it."""


class AliasRung(Section):
    """A rung that stands for another alias's targets."""

    alias: Name


def _kind_of_rung(value: object) -> str:
    written = value if isinstance(value, dict) else {"alias": ""} if isinstance(value, AliasRung) else {}
    return "AliasRung" if "alias" in written else "Target"


Rung = Annotated[
    Annotated[Target, Tag("Target")] | Annotated[AliasRung, Tag("AliasRung")], Discriminator(_kind_of_rung)
]


class AliasTier(Section):
    """How an alias is served in one tier, where that differs. None = as the alias says."""

    name: Name
    targets: tuple[Target, ...] | None = Field(default=None, min_length=1)
    fallback: tuple[Rung, ...] | None = None
    retries: int | None = Field(default=None, ge=0, le=10)
    hedge_after_s: float | None = Field(default=None, ge=0, le=86_400)
    """0 = never."""


class AliasConfig(Section):
    """What clients call a model: where it is served, and the ladder below."""

    name: Name
    tier: Name
    targets: tuple[Target, ...] = Field(min_length=1)
    fallback: tuple[Rung, ...] = ()
    tiers: Annotated[dict[str, AliasTier], BeforeValidator(named)] = Field(default_factory=dict)
    """Other targets, ladder, retries or hedges in a tier."""
    max_output_tokens: int = Field(default=16_384, ge=1)
    """The most an answer can hold where the request does not say: what a worst case is reckoned with."""
    max_inflight: int = Field(default=0, ge=0)
    """Of its tier's slots, how many this alias may hold; 0 = no bound but the tier's."""

    @model_validator(mode="after")
    def _someone_is_first(self) -> "AliasConfig":
        for targets in (self.targets, *(tier.targets for tier in self.tiers.values() if tier.targets)):
            if any(t.weight is not None for t in targets) and not any(t.weight is None or t.weight for t in targets):
                raise ValueError("every target has weight 0, so none would ever be called; give one a weight")
        return self
