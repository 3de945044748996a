"""The answer cache at work: asked before a request looks for a slot, told of each answer that ended well.

The decisions are gateway/cache's; here they meet the request's route, the attempt's price and the counters. A plane
whose cache is off has none of this.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.budgets.spent import spent_usd
from gateway.cache.canonical import BODY_BYTES_MAX, TooDeep, canonical, counted_headers, framing
from gateway.cache.store import Entry, Key, Store
from gateway.cache.verdict import HEADER, Status, Wish, keepable, verdict
from gateway.catalogue import Route
from gateway.config.policies import Cache
from gateway.domain.attempt import Attempt, Outcome
from gateway.domain.rate_card import RateBook
from gateway.domain.usage import Completeness
from gateway.errors import InvalidRequest
from gateway.metrics import Counter, gauge
from gateway.upstream.sink import Headers
from gateway.wire.arrival import Arrival
from gateway.wire.body import ModelRequest

WISH_HEADER = HEADER.encode()
ANSWER_MODES = frozenset({"exact", "read_only", "write_only"})


class Recording:
    """One answer on its way to the client, noted down to be kept if it ends well."""

    __slots__ = ("_bytes_max", "_pieces", "_size", "key")

    def __init__(self, key: Key, bytes_max: int) -> None:
        self.key = key
        self._bytes_max = bytes_max
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """A piece of the stream, as the client gets it. One that grows too long is not held on to."""
        self._size += len(piece)
        if self._size <= self._bytes_max:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def whole(self) -> bytes:
        """The stream's bytes; b"" if there were too many."""
        return b"".join(self._pieces) if self._size <= self._bytes_max else b""


@dataclass(frozen=True, slots=True)
class Consulted:
    """What the cache said: its word for the request, and the answer itself or where to note the one to come."""

    status: Status
    entry: Entry | None = None
    recording: Recording | None = None


class AnswerCache:
    """The answers that this process keeps."""

    def __init__(self, config: Cache) -> None:
        self._config = config
        self.store = Store(config.max_bytes, config.ttl_s)
        self._lookups = Counter()
        self._saved_usd: dict[str, Decimal] = {}
        self._saved_tokens = Counter()

    def follow(self, config: Cache) -> None:
        """Go on under these bounds and this mode."""
        self._config = config
        self.store.resize(config.max_bytes, config.ttl_s)

    def consult(self, arrival: Arrival, request: ModelRequest, route: Route, now: float) -> Consulted:
        """What becomes of a request. Raises InvalidRequest where the caller's wish is none."""
        config = self._config
        said = verdict(config.mode, route.tier.cache_allowed, request.kind, request.fields, wish_of(arrival))
        usable = (said.look or said.keep) and len(request.body) <= BODY_BYTES_MAX
        key = self._key(arrival, request, route) if usable else None
        if key is None:
            status = Status.OFF if said.status is Status.OFF else Status.BYPASS
            self._lookups.add(route.alias.name, status)
            return Consulted(status)
        entry = self.store.get(key, now) if said.look else None
        if entry is not None:
            self._lookups.add(route.alias.name, Status.HIT)
            self._save(route.alias.name, entry)
            return Consulted(Status.HIT, entry)
        self._lookups.add(route.alias.name, said.status)
        return Consulted(said.status, None, Recording(key, config.answer_bytes_max) if said.keep else None)

    def keep(
        self,
        recording: Recording,
        attempt: Attempt,
        headers: Headers,
        body: bytes | None,
        *,
        cards: RateBook,
        now: float,
    ) -> None:
        """Keep an answer that ended well; `body` None takes the stream that was recorded. Too long a one is left out,
        and one of a fallback, which would outlast the failure that called for it."""
        content = recording.whole() if body is None else body
        if attempt.outcome is not Outcome.OK or attempt.intent.fallback_depth:
            return
        if not keepable(attempt.http_status, content, self._config.answer_bytes_max):
            return
        head = b"".join(b"content-type: %b\r\n" % value for name, value in headers if name == b"content-type")
        entry = Entry(
            status=attempt.http_status,
            head=head,
            body=content,
            stream=body is None,
            usage=attempt.usage,
            completeness=attempt.completeness,
            cost_usd=cost_usd(attempt, cards),
        )
        self.store.put(recording.key, entry, now)

    def metrics(self) -> Iterator[Metric]:
        """What was answered from here, what that saved, and what is kept. A vendor's own cache is told of elsewhere."""
        store = self.store
        by_status: dict[Status, Counter] = {status: Counter() for status in Status}
        for (alias, status), count in self._lookups.items():
            by_status[Status(status)].add(alias, by=count)
        for status, plural in ((Status.HIT, "hits"), (Status.MISS, "misses"), (Status.BYPASS, "bypasses")):
            yield by_status[status].family(
                f"tollway_cache_{plural}", f"Requests whose status was {status}.", ("alias",)
            )
        yield self._saved_tokens.family("tollway_cache_saved_tokens", "Tokens that hits did not spend.", ("alias",))
        saved = CounterMetricFamily("tollway_cache_saved_usd", "What hits would have cost.", labels=("alias",))
        for alias, amount in self._saved_usd.items():
            saved.add_metric((alias,), float(amount))
        yield saved
        evictions = CounterMetricFamily("tollway_cache_evictions", "Entries driven out.", labels=("cause",))
        for cause, count in store.evictions.items():
            evictions.add_metric((cause,), count)
        yield evictions
        yield gauge("tollway_cache_bytes", "Memory that kept answers take.", (), (((), store.bytes),))
        yield gauge("tollway_cache_entries", "Answers kept.", (), (((), len(store)),))

    def _save(self, alias: str, entry: Entry) -> None:
        if entry.cost_usd is not None:
            self._saved_usd[alias] = self._saved_usd.get(alias, Decimal(0)) + entry.cost_usd
        self._saved_tokens.add(alias, by=entry.usage.input_total + entry.usage.output_total)

    def _key(self, arrival: Arrival, request: ModelRequest, route: Route) -> Key | None:
        fields = request.fields
        try:
            parts = (framing(fields), counted_headers(arrival.headers), canonical(fields), _rungs(route))
        except TooDeep:
            return None
        digest = hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest()
        epoch = self._config.policy_epoch
        return Key(arrival.tenant.name, route.alias.name, route.tier.name, epoch, request.kind, digest)


def answer_cache(config: Cache) -> AnswerCache | None:
    """The cache that the configuration asks for; None where it keeps no answers."""
    return AnswerCache(config) if config.mode in ANSWER_MODES else None


def _rungs(route: Route) -> bytes:
    """Who answers an alias: once that changes, so do the answers."""
    return repr([(rung.upstream, rung.model) for rung in route.rungs]).encode()


def wish_of(arrival: Arrival) -> Wish | None:
    """What the caller said of the cache. Raises InvalidRequest where that is nothing we know."""
    said = arrival.named.get(WISH_HEADER)
    if said is None:
        return None
    try:
        return Wish(said.decode("latin-1").strip().lower())
    except ValueError:
        raise InvalidRequest(f"`{HEADER}` takes `use` or `no-store`; leave it out otherwise.", param=HEADER) from None


def cost_usd(attempt: Attempt, cards: RateBook) -> Decimal | None:
    """What an attempt cost, in dollars, by the card in force at its start; None where its usage or the price is not
    known."""
    if attempt.completeness is not Completeness.MEASURED:
        return None
    return spent_usd(attempt, cards)
