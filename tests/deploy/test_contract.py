"""What clients use is listed, frozen, and defended against a configuration or an upstream that would break it."""

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.contract import surface
from deploy.contract.checking import breaks
from deploy.contract.surface import Use
from deploy.errors import OperatorError
from gateway.domain import clock
from tests.analytics.landed import attempt, land
from tests.conftest import RunningStore
from tests.deploy.test_cli import tollway
from tests.gateway.fakes import ScriptedUpstream, answer, error
from tests.gateway.serving import routing, settings

URLS = ("http://a/v1", "http://b/v1")
CHAT, EMBEDDINGS = "/v1/chat/completions", "/v1/embeddings"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def use(**changes: Any) -> Use:
    base: dict[str, Any] = {"tenant": "acme", "alias": "fast", "tier": "interactive", "route": CHAT}
    return Use(**{**base, "stream": False, "tool_format": "", **changes})


def broken(one: Use, **changes: Any) -> list[str]:
    return [f"{found.place}: {found.problem}" for found in breaks([one], routing(*URLS, **changes))]


def test_what_is_in_use_today_holds() -> None:
    every = [
        use(), use(stream=True, tool_format="tools"), use(tool_format="functions"), use(route=EMBEDDINGS),
        use(tier="batch"), use(route="/v1/responses"), use(route="/v1/responses/resp_1"),
        use(alias="bulk", tier="batch"),
        use(alias="", tier="", route="/v1/files"), use(alias="", tier="", route="/v1/batches"),
    ]  # fmt: skip
    assert breaks(every, routing(*URLS)) == []


def both(**entry: Any) -> dict[str, Any]:
    """A change to each of the two upstreams of the alias `fast`."""
    return {"u0": entry, "u1": entry}


@pytest.mark.parametrize(
    ("one", "changes", "told"),
    [
        (use(tenant="acmee"), {}, "tenants.acmee: the tenant is gone; did you mean 'acme'?"),
        (use(alias="fats"), {}, "aliases.fats: the alias is gone; did you mean 'fast'?"),
        (use(), {"tenants": {"acme": {"aliases": ["bulk"]}}}, "tenants.acme: it can no longer reach the alias fast"),
        (use(), {"tenants": {"acme": {"tiers": ["batch"]}}}, "tenants.acme: it can no longer reach the alias fast"),
        (
            use(tier="batch"),
            {"tenants": {"acme": {"tiers": ["interactive"]}}},
            "tenants.acme.tiers: it may no longer ask for the tier batch",
        ),
        (
            use(route=EMBEDDINGS),
            {"upstreams": both(serves=["chat"])},
            "aliases.fast: none of its upstreams serves embeddings",
        ),
        (use(stream=True), {"upstreams": both(streams=False)}, "aliases.fast: none of its upstreams streams"),
        (
            use(),
            {"tiers": {"interactive": {"streaming_required": True}}},
            "tiers.interactive.streaming_required: an answer that is not streamed is no longer allowed",
        ),
        (
            use(tool_format="functions"),
            {"upstreams": both(tool_formats=["tools"])},
            "aliases.fast: none of its upstreams takes the tool format functions",
        ),
        (use(route="/v1/audio/speech"), {}, "aliases.fast: /v1/audio/speech is no route of this version"),
    ],
)
def test_what_would_break_is_told_with_its_place(one: Use, changes: dict[str, Any], told: str) -> None:
    assert broken(one, **changes) == [told]


def test_a_use_that_names_no_alias_holds_while_an_upstream_of_the_tenants_keeps_such_things() -> None:
    files = use(alias="", tier="", route="/v1/files")
    assert broken(files, upstreams={"u0": {"serves": ["chat"]}}) == []
    assert broken(files, upstreams=both(serves=["chat"])) == ["upstreams: none that serves acme serves files"]
    assert broken(files, upstreams={"u0": {"tenant": "globex"}, "u1": {"serves": ["chat"]}}) == [
        "upstreams: none that serves acme serves files"
    ]
    assert str(files) == "acme calls /v1/files"


def test_one_upstream_that_still_can_is_enough() -> None:
    assert broken(use(stream=True), upstreams={"u0": {"streams": False}}) == []
    assert broken(use(route=EMBEDDINGS), upstreams={"u1": {"serves": ["chat"]}}) == []


def test_no_single_upstream_having_all_that_a_use_needs_breaks_it() -> None:
    split = {"u0": {"streams": False}, "u1": {"tool_formats": ["functions"]}}
    assert broken(use(stream=True, tool_format="tools"), upstreams=split) == [
        "aliases.fast: none of its upstreams takes the tool format tools"
    ]


def test_an_upstream_outside_the_tiers_residency_does_not_count() -> None:
    regions = {"u0": {"region": "us", "streams": True}, "u1": {"region": "eu", "streams": False}}
    tiers = {"interactive": {"residency": ["eu"]}}
    told = broken(use(stream=True), upstreams=regions, tiers=tiers)
    assert told == ["aliases.fast: none of its upstreams streams"]


def test_embeddings_never_stream_so_a_tier_that_requires_it_breaks_them_not() -> None:
    assert broken(use(route=EMBEDDINGS), tiers={"interactive": {"streaming_required": True}}) == []


def test_a_contract_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "contract.yaml"
    uses = [use(stream=True, tool_format="tools"), use(route=EMBEDDINGS)]
    rows = [{**surface.as_dict(one), "requests": 3, "last_used": NOW} for one in uses]
    surface.write(path, rows, since=NOW - timedelta(days=1), now=NOW)
    assert surface.read(path) == uses
    text = path.read_text("utf-8")
    assert "last_used: '2026-11-23T12:00:00Z'" in text


@pytest.mark.parametrize(
    "text", ["", "[", "uses: []", "tollway_contract: 2\nuses: []", "tollway_contract: 1\nuses: [{tenant: 1}]"]
)
def test_a_file_that_is_no_contract_is_told_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "contract.yaml"
    path.write_text(text)
    with pytest.raises(OperatorError, match=r"contract\.yaml"):
        surface.read(path)


def written(folder: Path, *urls: str, **changes: Any) -> Path:
    path = folder / "tollway.yaml"
    path.write_text(yaml.safe_dump(settings(*urls, **changes)), "utf-8")
    return path


def frozen(folder: Path, *uses: Use) -> str:
    path = folder / "contract.yaml"
    rows = [{**surface.as_dict(one), "requests": 1, "last_used": NOW} for one in uses]
    surface.write(path, rows, since=NOW, now=NOW)
    return str(path)


@pytest.mark.slow
def test_the_command_exits_3_and_lists_each_thing_that_would_break(tmp_path: Path) -> None:
    contract = frozen(tmp_path, use(), use(alias="gone"), use(alias="gone", stream=True))
    config = str(written(tmp_path, *URLS))
    done = tollway("contract", "check", contract, "--config", config, "--json")
    assert done.returncode == 3
    told = json.loads(done.stdout)
    assert (told["ok"], told["uses"]) == (False, 3)
    assert [(one["use"]["stream"], one["place"]) for one in told["broken"]] == [
        (False, "aliases.gone"),
        (True, "aliases.gone"),
    ]
    well = tollway("contract", "check", frozen(tmp_path, use()), "--config", config)
    assert (well.returncode, well.stdout) == (0, "")
    assert "all 1 uses still hold" in well.stderr


async def run(*arguments: str) -> tuple[int, dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.cli", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    out, err = await process.communicate()
    return process.returncode or 0, json.loads(out), err.decode()


@pytest.mark.slow
async def test_a_probe_says_which_models_are_gone_and_which_upstream_does_not_answer(tmp_path: Path) -> None:
    upstream, silent = ScriptedUpstream(), ScriptedUpstream()
    await upstream.start()
    await silent.start()
    try:
        contract = frozen(tmp_path, use())
        arguments = ("contract", "check", contract, "--probe", "--json", "--config")
        config = str(written(tmp_path, upstream.url, silent.url))
        upstream.always = answer({"object": "list", "data": [{"id": "m0"}, {"id": "other"}]})
        silent.always = error(404)
        code, told, words = await run(*arguments, config)
        assert (code, told["ok"]) == (0, True)
        assert "upstreams.u1 does not list its models" in words
        assert upstream.received[0].path == "/v1/models"
        assert upstream.received[0].headers["authorization"] == "Bearer sk-vendor-secret"
        upstream.always = answer({"object": "list", "data": [{"id": "other"}]})
        silent.always = error(401)
        code, told, _ = await run(*arguments, config)
        assert (code, told["upstreams"]) == (
            3,
            [
                {"place": "upstreams.u0", "problem": "the model m0 is gone"},
                {"place": "upstreams.u1", "problem": "it refuses our key (status 401)"},
            ],
        )
    finally:
        await upstream.stop()
        await silent.stop()


@pytest.mark.slow
async def test_a_probe_asks_every_host_and_heeds_no_proxy_and_no_netrc_of_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = [ScriptedUpstream(), ScriptedUpstream(), ScriptedUpstream()]
    for host in hosts:
        await host.start()
        host.always = answer({"object": "list", "data": [{"id": "m0"}]})
    hosts[2].always = answer({"object": "list", "data": [{"id": "other"}]})
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password else\n", "utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    try:
        pool = {"u0": {"hosts": [host.url for host in hosts[1:]], "api_key": ""}}
        config = str(written(tmp_path, hosts[0].url, hosts[0].url, upstreams=pool))
        code, told, _ = await run("contract", "check", frozen(tmp_path, use()), "--probe", "--json", "--config", config)
    finally:
        for host in hosts:
            await host.stop()
    assert (code, told["upstreams"][0]) == (
        3,
        {"place": "upstreams.u0.hosts[1]", "problem": "the model m0 is gone"},
    )
    asked = [host.received[0] for host in hosts]
    assert [request.headers.get("authorization") for request in asked] == [None] * 3


@pytest.mark.slow
async def test_a_probe_keeps_the_query_of_an_upstreams_address_behind_the_route(tmp_path: Path) -> None:
    upstream = ScriptedUpstream()
    await upstream.start()
    try:
        upstream.always = answer({"object": "list", "data": [{"id": "m0"}]})
        config = str(written(tmp_path, f"{upstream.url}?api-version=1", f"{upstream.url}?api-version=1"))
        await run("contract", "check", frozen(tmp_path, use()), "--probe", "--json", "--config", config)
        assert upstream.received[0].path.startswith("/v1/models?api-version=1")
    finally:
        await upstream.stop()


def seen(at: datetime, **changes: Any) -> dict[str, object]:
    facts = {"kind": 2, "attempt_id": "", "route": CHAT, "tool_format": "", "stream": False, "user_agent": "curl/8"}
    return attempt(at, **{**facts, **changes})


@pytest.mark.slow
def test_who_calls_what_is_listed_and_frozen_from_the_store(store: RunningStore, tmp_path: Path) -> None:
    store.empty()
    now = clock.utc_now().replace(microsecond=0)
    sdk = {"user_agent": "OpenAI/Python 3.54.0", "stream": True, "tool_format": "tools"}
    land(
        store.writer,
        seen(now - timedelta(hours=3), **sdk),
        seen(now - timedelta(hours=1), **sdk),
        seen(now - timedelta(hours=2)),
        seen(now - timedelta(hours=2), tenant="globex", route=EMBEDDINGS),
        seen(now - timedelta(days=60), user_agent="forgotten/1", alias="old"),
        seen(now - timedelta(hours=1), kind=3, attempt_id="f" * 32, user_agent="", route="attempts are not clients"),
    )
    listen = store.url.removeprefix("http://")
    config = str(written(tmp_path, *URLS))
    text = Path(config).read_text("utf-8") + yaml.safe_dump(
        {"data_dir": str(store.data_dir), "store": {"listen": listen}}
    )
    Path(config).write_text(text, "utf-8")
    rows = json.loads(tollway("clients", "--config", config, "--json").stdout)
    assert [(r["tenant"], r["user_agent"], r["route"], r["stream"], r["tool_format"], r["requests"]) for r in rows] == [
        ("acme", "OpenAI/Python 3.54.0", CHAT, True, "tools", 2),
        ("acme", "curl/8", CHAT, False, "", 1),
        ("globex", "curl/8", EMBEDDINGS, False, "", 1),
    ]
    assert datetime.fromisoformat(rows[0]["last_used"]) == now - timedelta(hours=1)
    one = json.loads(tollway("clients", "--config", config, "--json", "--tenant", "globex").stdout)
    assert [row["tenant"] for row in one] == ["globex"]
    older = json.loads(tollway("clients", "--config", config, "--json", "--since", "90d").stdout)
    assert len(older) == 4
    assert tollway("clients", "--config", config, "--since", "yesterday").returncode == 2
    contract = tmp_path / "contract.yaml"
    assert tollway("contract", "freeze", str(contract), "--config", config).returncode == 0
    assert surface.read(contract) == [
        use(),
        use(stream=True, tool_format="tools"),
        use(tenant="globex", route=EMBEDDINGS),
    ]
    assert tollway("contract", "check", str(contract), "--config", config).returncode == 0
    none = tollway("contract", "freeze", str(contract), "--config", config, "--tenant", "nobody")
    assert none.returncode == 1
    assert "nothing to freeze" in none.stderr
