"""An upstream of several hosts over real sockets: whose prompts stay warm, and where a dead host's sessions go."""

from collections.abc import Callable
from typing import Any

import pytest

from gateway.domain.attempt import Outcome
from gateway.domain.reasons import Reason
from gateway.flow.reload import Reread
from tests.gateway.fakes import Line, Received, ScriptedUpstream, StartUpstream, answer, chat, error, silence
from tests.gateway.serving import ACME, GLOBEX, Gateway, chat_request, gateway, routing, until


def several(*hosts: ScriptedUpstream, policy: str = "sticky", **changes: Any) -> Any:
    """A configuration whose one upstream has those hosts."""
    first, *others = (host.url for host in hosts)
    upstream = {"hosts": others, **changes.pop("upstream", {})}
    return routing(first, cache={"kv_reuse_policy": policy}, upstreams={"u0": upstream}, **changes)


async def say(served: Gateway, session: str = "", key: str = ACME, **changes: Any) -> int:
    headers = {"x-tollway-session": session} if session else {}
    async with served.client(key) as client:
        return (await client.post("/v1/chat/completions", json=chat_request(**changes), headers=headers)).status_code


def ports(served: Gateway) -> list[int]:
    return [attempt.intent.server_port for attempt in served.books.attempts]


@pytest.fixture
async def three(start_upstream: StartUpstream) -> list[ScriptedUpstream]:
    return [await start_upstream() for _ in range(3)]


class PrefixCache:
    """A host's memory of prompts: of a prompt, the messages that it has seen in this order before are cached tokens."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.cached = 0

    async def __call__(self, line: Line, request: Received) -> None:
        messages = [message["content"] for message in request.json["messages"]]
        prefixes = ["\0".join(messages[: count + 1]) for count in range(len(messages))]
        cached = 10 * sum(prefix in self.seen for prefix in prefixes)
        self.seen.update(prefixes)
        self.cached += cached
        details = {"cached_tokens": cached}
        usage = {"prompt_tokens": 10 * len(messages), "completion_tokens": 1, "prompt_tokens_details": details}
        await answer(chat(usage=usage))(line, request)


async def replayed(policy: str, hosts: list[ScriptedUpstream]) -> tuple[int, int]:
    """Eight conversations of six turns, taking turns: the cached tokens, and in how many hosts conversations were."""
    for host in hosts:
        host.always = PrefixCache()
    async with gateway(several(*hosts, policy=policy)) as served:
        for turn in range(6):
            for talk in range(8):
                messages = [{"role": "user", "content": f"{talk}.{i}"} for i in range(turn + 1)]
                assert await say(served, f"talk {talk}", messages=messages) == 200
        cached = sum(attempt.usage.cache_read for attempt in served.books.attempts)
        homes = {(attempt.intent.session, attempt.intent.server_port) for attempt in served.books.attempts}
    assert cached == sum(host.always.cached for host in hosts if isinstance(host.always, PrefixCache))
    return cached, len(homes)


async def test_sticky_sessions_read_more_from_their_hosts_caches_than_turns_do(three: list[ScriptedUpstream]) -> None:
    best = 8 * 10 * (1 + 2 + 3 + 4 + 5)
    assert await replayed("sticky", three) == (best, 8)
    by_turn, homes = await replayed("round_robin", three)
    assert by_turn < best * 0.7
    assert homes > 8


async def test_prompts_that_begin_alike_go_to_one_host(three: list[ScriptedUpstream]) -> None:
    system = {"role": "system", "content": "You are terse. " * 100}
    async with gateway(several(*three, policy="prefix")) as served:
        for number in range(6):
            user = {"role": "user", "content": str(number)}
            assert await say(served, f"session {number}", messages=[system, user]) == 200
        assert len(set(ports(served))) == 1


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({"session": "a"}, {"session": "a", "user": "x", "prompt_cache_key": "y"}, True),
        ({"prompt_cache_key": "a"}, {"prompt_cache_key": "a", "user": "x"}, True),
        ({"user": "a"}, {"user": "a", "messages": [{"role": "user", "content": "Bye"}]}, True),
        ({"user": "a"}, {"prompt_cache_key": "a"}, False),
        ({}, {}, True),
        ({}, {"messages": [{"role": "user", "content": "Bye"}]}, False),
        ({"session": "a"}, {"session": "a", "key": GLOBEX}, False),
    ],
)
async def test_a_session_is_named_by_header_then_cache_key_then_user_then_prompt(
    upstream: ScriptedUpstream,
    alternate: ScriptedUpstream,
    one: dict[str, Any],
    other: dict[str, Any],
    together: bool,
) -> None:
    """Told by the keys that the gateway remembers, since two sessions may well share a host."""
    async with gateway(several(upstream, alternate)) as served:
        assert [await say(served, **one), await say(served, **other)] == [200, 200]
        assert len(served.plane.hosts["u0"]._sessions) == (1 if together else 2)


async def test_sessions_of_a_dead_host_move_and_no_request_fails(three: list[ScriptedUpstream]) -> None:
    """One connection is refused, once, and on the books as refused; the breaker hears nothing of it."""
    async with gateway(several(*three, breaker={"consecutive_failures": 1})) as served:
        for number in range(12):
            assert await say(served, f"s{number}") == 200
        before = ports(served)
        dead = three[0].port
        await three[0].stop()
        for number in range(12):
            assert await say(served, f"s{number}") == 200
        refused = [attempt for attempt in served.books.attempts if attempt.outcome is not Outcome.OK]
        after = [attempt.intent.server_port for attempt in served.books.attempts[12:] if attempt not in refused]
    assert dead in before
    assert [port for port in before if port != dead] == [b for a, b in zip(before, after, strict=True) if a != dead]
    assert dead not in after
    assert refused
    assert all(attempt.intent.server_port == dead for attempt in refused)
    assert {attempt.outcome for attempt in refused} <= {Outcome.REFUSED, Outcome.ERROR}
    assert all(attempt.breaker_transition is None for attempt in served.books.attempts)


async def test_when_every_host_is_dead_the_breaker_opens_as_for_any_upstream(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    config = several(upstream, alternate, breaker={"consecutive_failures": 1})
    await upstream.stop()
    await alternate.stop()
    async with gateway(config) as served:
        assert await say(served) == 502
        assert await say(served) == 503
        assert [attempt.error_type for attempt in served.books.attempts] == [
            Reason.CONNECT_ERROR, Reason.CONNECT_ERROR, Reason.BREAKER_OPEN,
        ]  # fmt: skip
        assert len({attempt.intent.server_port for attempt in served.books.attempts[:2]}) == 2


async def test_a_full_host_sends_its_session_on_and_an_idle_one_takes_it(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    for host in (upstream, alternate):
        host.script.append(silence)
    async with gateway(several(upstream, alternate, upstream={"host_max_inflight": 1})) as served:
        async with served.client() as client:
            first = served.plane.loop.create_task(_post(client, "s"))
            await until(lambda: len(served.books.intents) == 1)
            second = served.plane.loop.create_task(_post(client, "s"))
            await until(lambda: len(served.books.intents) == 2)
            first.cancel()
            second.cancel()
            await until(lambda: len(served.books.attempts) == 2)
        assert len(set(ports(served))) == 2
        assert [host.inflight for host in served.plane.hosts["u0"].fares(0.0)] == [0, 0]


async def _post(client: Any, session: str) -> None:
    await client.post("/v1/chat/completions", json=chat_request(), headers={"x-tollway-session": session})


async def test_where_cached_tokens_cost_no_less_sessions_do_not_stick(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    card = {"provider": "openai", "model": "m0", "currency": "USD", "effective_from": "2023-01-01T00:00:00Z"}
    prices = {"input": "1", "cache_read": "1", "output": "2"}
    cards = [{**card, "per_million_tokens": prices}]
    async with gateway(several(upstream, alternate, rate_cards=cards)) as served:
        for _ in range(4):
            assert await say(served, "s") == 200
        assert sorted(map(ports(served).count, set(ports(served)))) == [2, 2]


async def test_an_attempt_names_the_host_that_took_it(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    async with gateway(several(upstream, alternate, policy="round_robin")) as served:
        for _ in range(2):
            assert await say(served) == 200
    assert ports(served) == [upstream.port, alternate.port]
    assert [host.received[0].headers["host"] for host in (upstream, alternate)] == [
        f"127.0.0.1:{upstream.port}", f"127.0.0.1:{alternate.port}",
    ]  # fmt: skip


async def test_sessions_loads_and_connections_outlive_a_reload_that_leaves_their_upstream_alone(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    again: Callable[[], Reread] = lambda: Reread(several(upstream, alternate, tiers={"batch": {"max_inflight": 3}}))  # noqa: E731
    async with gateway(several(upstream, alternate), read_again=again) as served:
        assert await say(served, "s") == 200
        hosts = served.plane.hosts["u0"]
        await served.serving.reload()
        assert served.serving.plane.hosts["u0"] is hosts
        assert await say(served, "s") == 200
        assert hosts.choices["kept"] == 1
        assert upstream.connections + alternate.connections == 1


async def test_hosts_that_a_reload_took_out_are_let_go(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    async with gateway(
        several(upstream, alternate, policy="round_robin"), read_again=lambda: Reread(routing(upstream.url))
    ) as served:
        assert [await say(served), await say(served)] == [200, 200]
        await served.serving.reload()
        await until(lambda: not alternate.lines)
        assert not served.serving.plane.hosts
        assert await say(served) == 200


async def test_an_upstream_of_one_host_has_no_keeper(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url, cache={"kv_reuse_policy": "sticky"})) as served:
        assert not served.plane.hosts


async def test_metrics_tell_how_hosts_fare(upstream: ScriptedUpstream, alternate: ScriptedUpstream) -> None:
    async with gateway(several(upstream, alternate)) as served, served.client() as client:
        await say(served, "s")
        await say(served, "s")
        await alternate.stop()
        lines = (await client.get("/metrics")).text.splitlines()
    assert 'tollway_host_choices_total{how="kept",upstream="u0"} 1.0' in lines
    assert f'tollway_host_inflight{{host="{upstream.url}",upstream="u0"}} 0.0' in lines
    assert f'tollway_host_resting{{host="{alternate.url}",upstream="u0"}} 0.0' in lines


async def test_a_host_that_answers_with_errors_is_not_tried_twice_for_one_request(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    for host in (upstream, alternate):
        host.always = error(500)
    rungs = [{"upstream": "u0", "model": "m0"}]
    config = several(upstream, alternate, aliases={"fast": {"targets": rungs, "fallback": rungs}})
    async with gateway(config) as served:
        assert await say(served, "s") == 500
        assert len(set(ports(served))) == 2
