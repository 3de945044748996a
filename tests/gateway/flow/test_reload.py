"""A reload: what serves after it, what is carried over, and that no request, slot or connection is lost in between."""

import asyncio
import logging
from decimal import Decimal
from typing import Any

import pytest

from gateway.config import ConfigError, Fault, RoutingConfig
from gateway.flow.reload import CARRIED, REBUILT, Reread
from gateway.pools.slots import Claim
from tests.gateway.fakes import ROLE, ScriptedUpstream, after, answer, chat, chunk, error, event, events, stream
from tests.gateway.serving import ACME, GLOBEX, Gateway, chat_request, gateway, post, routing, until

WORD = event(chunk("Hi"))


class File:
    """A configuration file that tests write: what the next reload reads."""

    def __init__(self, config: RoutingConfig) -> None:
        self.config: RoutingConfig | Exception = config
        self.next_start: tuple[str, ...] = ()

    def __call__(self) -> Reread:
        if isinstance(self.config, Exception):
            raise self.config
        return Reread(self.config, self.next_start)


async def ask(served: Gateway, key: str = ACME, **changes: Any) -> tuple[int, dict[str, Any]]:
    async with served.client(key) as client:
        got = await client.post("/v1/chat/completions", json=chat_request(**changes))
    return got.status_code, got.json()


def code(answered: tuple[int, dict[str, Any]]) -> str:
    return str(answered[1]["error"]["code"])


async def test_every_attribute_of_the_plane_has_its_rule(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url)) as served:
        assert set(vars(served.plane)) == set(CARRIED) | REBUILT, "say in gateway/flow/reload.py what becomes of it"


async def test_what_a_new_configuration_says_holds_for_the_next_request(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    file = File(routing(upstream.url))
    async with gateway(routing(upstream.url), read_again=file) as served:
        assert code(await ask(served, model="new")) == "model_not_found"
        fresh = {"tier": "interactive", "targets": [{"upstream": "u1", "model": "m1"}]}
        file.config = routing(
            upstream.url, alternate.url, aliases={"new": fresh}, tenants={"globex": {"keys": ["another-key-012345"]}}
        )
        told = await served.serving.reload()
        assert told.result == "applied"
        assert {"aliases.new (new)", "upstreams.u1 (new)", "tenants.globex.keys"} <= set(told.changed)
        assert (await ask(served, model="new"))[0] == 200
        assert len(alternate.received) == 1
        assert code(await ask(served, GLOBEX)) == "invalid_api_key"
        assert (await ask(served, "another-key-012345"))[0] == 200


async def test_an_equal_configuration_changes_nothing(upstream: ScriptedUpstream) -> None:
    async with gateway(routing(upstream.url), read_again=File(routing(upstream.url))) as served:
        before = served.plane
        assert (await served.serving.reload()).result == "unchanged"
        assert served.plane is before


async def test_a_file_with_faults_leaves_the_last_good_one_serving_and_every_fault_is_logged(
    upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    faults = [Fault("tiers.agent", "is missing"), Fault("breaker.cooldown_s", "is not a number")]
    file = File(routing(upstream.url))
    file.config = ConfigError("tollway.yaml", faults)
    async with gateway(routing(upstream.url), read_again=file) as served, served.client() as client:
        with caplog.at_level(logging.ERROR):
            told = await served.serving.reload()
        assert (told.result, told.faults) == ("rejected", tuple(faults))
        assert all(str(fault) in caplog.text for fault in faults)
        assert (await ask(served))[0] == 200
        metrics = (await client.get("/metrics")).text
        assert 'tollway_config_reloads_total{result="rejected"} 1.0' in metrics
        assert f'tollway_config_loaded_seconds{{hash="{served.plane.config.fingerprint}"}}' in metrics


async def test_a_file_that_cannot_be_read_is_a_fault_and_not_the_end(upstream: ScriptedUpstream) -> None:
    file = File(routing(upstream.url))
    file.config = PermissionError(13, "Permission denied")
    async with gateway(routing(upstream.url), read_again=file) as served:
        told = await served.serving.reload()
        assert (told.result, told.faults[0].problem) == ("rejected", "cannot read the configuration: Permission denied")


async def test_a_reload_that_trips_over_anything_else_is_rejected_too(
    upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    file = File(routing(upstream.url))
    file.config = RecursionError("too deep")
    async with gateway(routing(upstream.url), read_again=file) as served:
        told = await served.serving.reload()
        assert (told.result, (await ask(served))[0]) == ("rejected", 200)
        file.config = routing(
            upstream.url, aliases={"new": {"tier": "batch", "targets": [{"upstream": "u0", "model": "m"}]}}
        )
        assert (await served.serving.reload()).result == "applied"
    assert "a reload failed" in caplog.text


async def test_what_needs_a_restart_is_said_so(upstream: ScriptedUpstream) -> None:
    file = File(routing(upstream.url, gateway={"listen": "127.0.0.1:9999", "journal_max_bytes": 2_000_000}))
    file.next_start = ("data_dir",)
    async with gateway(routing(upstream.url), read_again=file) as served:
        told = await served.serving.reload()
        assert told.next_start == ("gateway.journal_max_bytes", "gateway.listen", "data_dir")
        assert (await ask(served))[0] == 200


async def test_a_stream_under_way_ends_on_the_upstream_that_is_gone(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    go_on = asyncio.Event()
    upstream.script.append(stream(ROLE, WORD, go_on, *events("more")[1:]))
    config = routing(upstream.url)
    moved = routing(alternate.url)
    async with gateway(config, read_again=File(moved)) as served:
        reader, _ = await served.raw(post(b'{"model":"fast","messages":[],"stream":true}'))
        await reader.readuntil(WORD)
        assert (await served.serving.reload()).result == "applied"
        assert (await ask(served))[0] == 200
        assert (len(upstream.received), len(alternate.received)) == (1, 1)
        go_on.set()
        assert b"[DONE]" in await asyncio.wait_for(reader.readuntil(b"0\r\n\r\n"), 5)
        await until(lambda: not upstream.lines)
        assert [operation.outcome for operation in served.books.operations] == ["ok", "ok"]
        assert [len(pool._open) for pool in served.plane.retired] == [0]


async def test_a_request_in_line_keeps_its_place_and_sets_out_by_the_configuration_it_came_under(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    one = {"interactive": {"max_inflight": 1}}
    file = File(routing(alternate.url, tiers=one))
    async with gateway(routing(upstream.url, tiers=one), read_again=file) as served:
        first, second = asyncio.ensure_future(ask(served)), asyncio.ensure_future(ask(served))  # noqa: TID251
        await until(lambda: served.plane.pools["interactive"].queued == 1)
        await served.serving.reload()
        assert (served.plane.pools["interactive"].inflight, served.plane.pools["interactive"].queued) == (1, 1)
        gate.set()
        assert [(await first)[0], (await second)[0]] == [200, 200]
        assert (len(upstream.received), len(alternate.received)) == (2, 0)
        assert (served.plane.pools["interactive"].inflight, served.plane.pools["interactive"].queued) == (0, 0)


async def test_a_larger_pool_lets_those_in_line_go_at_once(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    file = File(routing(upstream.url, tiers={"interactive": {"max_inflight": 3}}))
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 1}}), read_again=file) as served:
        asked = [asyncio.ensure_future(ask(served)) for _ in range(4)]  # noqa: TID251
        await until(lambda: served.plane.pools["interactive"].queued == 3)
        await served.serving.reload()
        await until(lambda: len(upstream.received) == 3)
        assert (served.plane.pools["interactive"].inflight, served.plane.pools["interactive"].queued) == (3, 1)
        gate.set()
        assert [status for status, _ in await asyncio.gather(*asked)] == [200] * 4
        assert served.plane.pools["interactive"].inflight == 0


async def test_a_smaller_pool_hands_out_no_slot_until_enough_are_back(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    file = File(routing(upstream.url, tiers={"interactive": {"max_inflight": 1}}))
    async with gateway(routing(upstream.url, tiers={"interactive": {"max_inflight": 2}}), read_again=file) as served:
        asked = [asyncio.ensure_future(ask(served)) for _ in range(3)]  # noqa: TID251
        await until(lambda: served.plane.pools["interactive"].queued == 1)
        await served.serving.reload()
        lent = Claim("acme", alias="fast")
        served.plane.pools["interactive"].release(lent, 0.0)
        assert (served.plane.pools["interactive"].inflight, served.plane.pools["interactive"].queued) == (1, 1)
        served.plane.pools["interactive"]._queue.slots.take(lent)
        gate.set()
        assert [status for status, _ in await asyncio.gather(*asked)] == [200] * 3
        assert served.plane.pools["interactive"].inflight == 0


async def test_a_tier_that_is_gone_serves_its_last_requests(upstream: ScriptedUpstream) -> None:
    gate = asyncio.Event()
    upstream.always = after(gate)
    before = routing(upstream.url, tiers={"slow": {"max_inflight": 1}}, aliases={"slow": alias("slow")}, tenants=FREE)
    file = File(routing(upstream.url, tenants=FREE))
    async with gateway(before, read_again=file) as served:
        asked = [asyncio.ensure_future(ask(served, model="slow")) for _ in range(1)]  # noqa: TID251
        await until(lambda: len(upstream.received) == 1)
        await served.serving.reload()
        assert code(await ask(served, model="slow")) == "model_not_found"
        gate.set()
        assert [status for status, _ in await asyncio.gather(*asked)] == [200]
        assert served.plane.exchanges == set()


FREE = {"acme": {"keys": [ACME], "tiers": []}}


def alias(tier: str) -> dict[str, Any]:
    return {"tier": tier, "targets": [{"upstream": "u0", "model": "m0"}]}


async def test_an_open_breaker_stays_open_unless_its_upstream_was_changed(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = error(500)
    breaker = {"consecutive_failures": 1, "cooldown_s": 60}
    file = File(routing(upstream.url, breaker={**breaker, "ramp_s": 1}))
    async with gateway(routing(upstream.url, breaker=breaker), read_again=file) as served:
        await ask(served)
        assert code(await ask(served)) == "breaker_open"
        await served.serving.reload()
        assert code(await ask(served)) == "breaker_open"
        file.config = routing(alternate.url, breaker=breaker)
        await served.serving.reload()
        assert (await ask(served))[0] == 200


async def test_counts_go_on_and_gauges_tell_of_what_serves_now(upstream: ScriptedUpstream) -> None:
    file = File(routing(upstream.url, tiers={"new": {"max_inflight": 1}}))
    async with gateway(routing(upstream.url), read_again=file) as served, served.client() as client:
        await ask(served)
        await served.serving.reload()
        await ask(served)
        text = (await client.get("/metrics")).text
    assert 'tollway_requests_total{alias="fast",outcome="ok",tier="interactive"} 2.0' in text
    assert text.count('tollway_inflight{tier="interactive"}') == 1
    assert 'tollway_inflight{tier="new"} 0.0' in text
    assert text.count("tollway_config_loaded_seconds{") == 1


async def test_what_an_alias_taught_and_kept_connections_outlive_a_reload(upstream: ScriptedUpstream) -> None:
    file = File(routing(upstream.url, fallback={"max_extra_spend_usd": "2"}))
    async with gateway(routing(upstream.url), read_again=file) as served:
        await ask(served)
        taught = served.plane.forecasts["fast"].output_tokens(100)
        await served.serving.reload()
        assert served.plane.forecasts["fast"].output_tokens(100) == taught == 3
        assert served.plane.config.fallback.max_extra_spend_usd == Decimal(2)
        await ask(served)
        assert upstream.connections == 1


async def test_reloads_under_load_lose_no_request_and_no_slot(
    upstream: ScriptedUpstream, alternate: ScriptedUpstream
) -> None:
    upstream.always = alternate.always = answer(chat())
    configs = [routing(upstream.url, alternate.url), routing(alternate.url, upstream.url)]
    configs += [routing(upstream.url, alternate.url, tiers={"interactive": {"max_inflight": n}}) for n in (1, 64)]
    file = File(configs[0])
    async with gateway(configs[0], read_again=file) as served, served.client() as client:

        async def many() -> list[int]:
            got = [await client.post("/v1/chat/completions", json=chat_request()) for _ in range(25)]
            return [one.status_code for one in got]

        asked = [asyncio.ensure_future(many()) for _ in range(6)]  # noqa: TID251
        turn = 0
        while not all(one.done() for one in asked):
            turn += 1
            file.config = configs[turn % len(configs)]
            assert (await served.serving.reload()).result in {"applied", "unchanged"}
        statuses = [status for one in asked for status in await one]
        assert statuses == [200] * 150
        assert turn > 3
        assert len(served.books.operations) == len(served.books.attempts) == len(served.books.intents) == 150
        assert [pool.inflight for pool in served.plane.pools.values()] == [0, 0]
        assert served.plane.exchanges == set()
