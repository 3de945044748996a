"""The fuses of all sessions, kept by tier, tenant and session, with a bound on each tenant's memory.

A request of a tier whose fuse is armed, and that names its session, gets a Watch: it asks for leave, and is told what
came of the request. No session, or no armed fuse, and there is no watch.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from decimal import Decimal

from gateway.config import Tier
from gateway.domain.usage import Usage
from gateway.errors import FuseTripped
from gateway.limits.fuse import Bound, Bounds, SessionFuse, ToolCall, Tripped
from gateway.metrics import Counter
from gateway.relay import tools

SESSIONS_MAX = 4096
"""Sessions of one tenant that are remembered; the one that was quiet longest is forgotten first."""
TOOLS_MAX = 65_536
"""Different tool calls that all sessions of one tenant together remember, at about 300 bytes each."""
NAME_SHOWN_MAX = 64


class _Sessions:
    """One tenant's fuses, the quietest first."""

    def __init__(self) -> None:
        self.fuses: OrderedDict[tuple[str, str], SessionFuse] = OrderedDict()
        self.tools = 0


class Fuses:
    """Every session's fuse, and how often fuses tripped, by tier and bound."""

    def __init__(self) -> None:
        self._tenants: dict[str, _Sessions] = {}
        self.trips = Counter()

    def watch(self, tier: Tier, tenant: str, session: str) -> "Watch":
        """What follows one request of that session. `session` is a hash, and not empty."""
        fuse = tier.fuse
        bounds = Bounds(fuse.window_s, fuse.same_tool_calls, fuse.calls, fuse.tokens, fuse.usd)
        sessions = self._tenants.get(tenant)
        if sessions is None:
            sessions = self._tenants[tenant] = _Sessions()
        key = (tier.name, session)
        kept = sessions.fuses.get(key)
        if kept is None or kept.bounds != bounds:
            sessions.tools -= kept.size if kept is not None else 0
            kept = sessions.fuses[key] = SessionFuse(bounds)
        sessions.fuses.move_to_end(key)
        return Watch(self, sessions, key, kept)

    def trim(self, sessions: _Sessions, key: tuple[str, str], fuse: SessionFuse, before: int) -> None:
        """Take in that a session of theirs, which remembered `before` calls, has learnt more, and forget the quietest
        where it is too much. One that was forgotten while its request ran is nobody's any more and counts no more."""
        if sessions.fuses.get(key) is fuse:
            sessions.tools += fuse.size - before
        while len(sessions.fuses) > SESSIONS_MAX or (sessions.tools > TOOLS_MAX and len(sessions.fuses) > 1):
            sessions.tools -= sessions.fuses.popitem(last=False)[1].size


class Watch:
    """One request of a session whose tier has an armed fuse."""

    __slots__ = ("_fuse", "_fuses", "_key", "_sessions", "_stream")

    def __init__(self, fuses: Fuses, sessions: _Sessions, key: tuple[str, str], fuse: SessionFuse) -> None:
        self._fuses = fuses
        self._sessions = sessions
        self._key = key
        self._fuse = fuse
        self._stream = tools.StreamedCalls() if fuse.bounds.same_tool_calls else None

    def admit(self, fields: Mapping[str, object], now: float) -> FuseTripped | None:
        """The refusal, if the fuse has tripped; otherwise the request is counted."""
        before = self._fuse.size
        history: Sequence[ToolCall] = tools.of_history(fields) if self._stream is not None else ()
        tripped = self._fuse.admit(history, now)
        self._fuses.trim(self._sessions, self._key, self._fuse, before)
        if tripped is None:
            return None
        self._fuses.trips.add(self._key[0], tripped.bound)
        return FuseTripped(told(tripped, self._fuse.bounds), param=tripped.bound)

    def flows(self, passed: bytes) -> None:
        """Whole events of a stream went to the client."""
        if self._stream is not None:
            self._stream.feed(passed)

    def ended(self, body: bytes | None, now: float) -> None:
        """The answer is complete: a whole one, or (None) the stream."""
        if self._stream is None:
            return
        before = self._fuse.size
        self._fuse.answered(self._stream.calls() if body is None else tools.of_answer(body), now)
        self._fuses.trim(self._sessions, self._key, self._fuse, before)

    def replayed(self, body: bytes, now: float, *, stream: bool) -> None:
        """The answer came from the cache: it cost nothing, but a loop may turn on it all the same."""
        if stream:
            self.flows(body)
        self.ended(None if stream else body, now)

    def spent(self, usage: Usage, usd: Decimal | None, now: float) -> None:
        """An attempt, or a slice of one, used so much; what no card prices (None) costs the fuse nothing."""
        self._fuse.spent(usage.input_total + usage.output_total, usd or Decimal(0), now)


def told(tripped: Tripped, bounds: Bounds) -> str:
    """The refusal in words: what, how often, the bound, and when it ends."""
    window = f"in {bounds.window_s:g} s"
    match tripped.bound:
        case Bound.SAME_TOOL_CALLS:
            tool = tripped.tool[:NAME_SHOWN_MAX]
            happened = f"the tool {tool!r} was called {tripped.count} times with the same arguments {window}"
            bound = f"the bound is {bounds.same_tool_calls}"
        case Bound.CALLS:
            happened, bound = f"it made {tripped.count} requests {window}", f"the bound is {bounds.calls}"
        case Bound.TOKENS:
            happened, bound = f"it used {tripped.count} tokens {window}", f"the bound is {bounds.tokens}"
        case Bound.USD:
            happened, bound = f"it spent {tripped.count:.4f} dollars {window}", f"the bound is {bounds.usd}"
    wait = max(1, round(tripped.resets_s + 0.5))
    return f"The fuse of this session tripped: {happened}; {bound}. It resets in {wait} s."
