"""What is taken of a tier's pool, and whether one more request fits: plain counts against fixed limits.

A request that runs takes a slot, and counts against its tenant, its session, its alias and the tokens in flight. Of
the slots a share may be reserved: a tenant that holds its fair share already, by weight of all tenants that may use
the tier, takes none of those. Whatever the limits are, a request finds room in an empty pool.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple


class Claim(NamedTuple):
    """What one request takes, from its grant to the end of its answer."""

    tenant: str
    weight: int = 1
    session: str = ""
    """Empty = it names none, so no session's cap concerns it."""
    alias: str = ""
    alias_max: int = 0
    """How many of the slots its alias may hold; 0 = no bound."""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """The pool's size, its queue's, and its caps; a cap of 0 is none."""

    max_inflight: int
    max_queue: int
    max_queue_seconds: float
    per_tenant: int = 0
    per_session: int = 0
    tokens: int = 0
    reserved_share: float = 0.0
    weights: int = 0
    """Of all tenants that may use the pool, together."""

    @property
    def unreserved(self) -> int:
        """The slots that every tenant may take, whatever it holds."""
        return self.max_inflight - math.ceil(self.max_inflight * self.reserved_share - 1e-9)

    def fair_share(self, weight: int) -> int:
        """The slots that are a tenant's by its weight; one at least."""
        return max(1, self.max_inflight * weight // max(self.weights, weight))


class Slots:
    """The counts. They are kept for every request, so that limits may change while requests run."""

    def __init__(self, limits: Limits) -> None:
        self.inflight = 0
        self.tokens = 0
        self._tenants: dict[str, int] = {}
        self._sessions: dict[tuple[str, str], int] = {}
        self._aliases: dict[str, int] = {}
        self.resize(limits)

    def resize(self, limits: Limits) -> None:
        """From now on these limits hold; what runs runs on."""
        self.limits = limits
        self._unreserved = limits.unreserved
        self._tenants_capped = bool(limits.per_tenant or limits.reserved_share)
        self._capped = self._tenants_capped or bool(limits.per_session or limits.tokens)

    def take(self, claim: Claim) -> None:
        """A request with that claim runs."""
        tenant, _, session, alias, _, tokens = claim
        self.inflight += 1
        self.tokens += tokens
        self._tenants[tenant] = self._tenants.get(tenant, 0) + 1
        self._aliases[alias] = self._aliases.get(alias, 0) + 1
        if session:
            self._sessions[tenant, session] = self._sessions.get((tenant, session), 0) + 1

    def give(self, claim: Claim) -> None:
        """It has ended."""
        tenant, _, session, alias, _, tokens = claim
        self.inflight -= 1
        self.tokens -= tokens
        self._tenants[tenant] -= 1
        self._aliases[alias] -= 1
        if session:
            self._sessions[tenant, session] -= 1
            if not self._sessions[tenant, session]:
                del self._sessions[
                    tenant, session
                ]  # Tenants and aliases are few; sessions are as many as clients like.

    def fits(self, claim: Claim) -> bool:
        """Whether there is room for it in every respect."""
        if not self._capped and not claim.alias_max:
            return self.inflight < self.limits.max_inflight
        return (
            self.tenant_fits(claim.tenant, claim.weight)
            and self.alias_fits(claim)
            and self.tokens_fit(claim)
            and self.session_fits(claim.tenant, claim.session)
        )

    def tenant_fits(self, tenant: str, weight: int) -> bool:
        """Whether there is a slot, and the tenant may take it."""
        limits = self.limits
        if self.inflight >= limits.max_inflight:
            return False
        if not self._tenants_capped:
            return True
        held = self._tenants.get(tenant, 0)
        if limits.per_tenant and held >= limits.per_tenant:
            return False
        return self.inflight < self._unreserved or held < limits.fair_share(weight)

    def session_fits(self, tenant: str, session: str) -> bool:
        """Whether the session may have one more."""
        cap = self.limits.per_session
        return not cap or not session or self._sessions.get((tenant, session), 0) < cap

    def alias_fits(self, claim: Claim) -> bool:
        """Whether the alias may have one more."""
        return not claim.alias_max or self._aliases.get(claim.alias, 0) < claim.alias_max

    def tokens_fit(self, claim: Claim) -> bool:
        """Whether its tokens fit beside those in flight. A request alone always fits."""
        most = self.limits.tokens
        return not most or not self.tokens or self.tokens + claim.tokens <= most
