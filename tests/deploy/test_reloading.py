"""A configuration that was edited is taken up by what runs: by `tollway check --reload`, and by a SIGHUP to `up`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.cli.demo import free_ports
from deploy.serving import gateway_restarts
from deploy.settings import read
from deploy.supervisor import parts
from deploy.supervisor.supervisor import is_ready
from gateway.domain import clock
from tests.deploy.test_cli import tollway
from tests.deploy.test_settings import ENV, EXAMPLE

KEY = {"TOLLWAY_ADMIN_KEY": "operator-key-0123456789"}
PORTS = ("8080", "4318", "4317", "8050", "8051", "8123")


def config_in(folder: Path) -> Path:
    """The example, on ports of its own."""
    text = EXAMPLE.read_text("utf-8")
    free = free_ports()
    taken = (free.gateway, free.otlp_http, free.otlp_grpc, free.dashboards, free.worker, free.store)
    for port, own in zip(PORTS, taken, strict=True):
        text = re.sub(rf"127\.0\.0\.1:{port}\b", f"127.0.0.1:{own}", text)  # 4318 also begins 43180.
    path = folder / "tollway.yaml"
    path.write_text(text, "utf-8")
    return path


@contextmanager
def running(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "deploy.cli", *arguments]
    env = {**os.environ, **ENV, **KEY}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def until(true: Callable[[], bool], within_s: float = 60) -> None:
    deadline = clock.monotonic() + within_s
    while not true():
        assert clock.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_check_can_have_the_running_gateway_reload_and_tells_what_changed(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    url = read(config, ENV).gateway_url
    env = {**ENV, **KEY}
    nobody = tollway("check", "--reload", "--config", str(config), env=env)
    assert nobody.returncode == 1
    assert f"no gateway answers at {url}" in nobody.stderr
    with running("serve", "gateway", "--config", str(config)):
        until(lambda: is_ready(f"{url}/readyz"))
        config.write_text(config.read_text().replace("cooldown_s: 30", "cooldown_s: 31"))
        done = tollway("check", "--reload", "--config", str(config), "--json", env=env)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)["reload"]
        assert (told["result"], told["changed"], told["next_start"]) == ("applied", ["breaker.cooldown_s"], [])
        in_words = tollway("check", "--reload", "--config", str(config), env=env)
        assert "reload: unchanged; the gateway serves by " + told["hash"] in in_words.stderr
        keyless = tollway("check", "--reload", "--config", str(config))
        assert keyless.returncode == 1
        assert "gateway.admin_key is not set" in keyless.stderr
        other = tollway("check", "--reload", "--config", str(config), env={**ENV, "TOLLWAY_ADMIN_KEY": "another"})
        assert other.returncode == 1
        assert "another operator key" in other.stderr
        config.write_text(config.read_text().replace("cooldown_s: 31", "cooldown_s: never"))
        assert tollway("check", "--reload", "--config", str(config), env=env).returncode == 3


@pytest.mark.slow
def test_a_sighup_to_up_reaches_the_gateway_and_ends_nothing(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    url = read(config, ENV).gateway_url

    def metrics() -> str:
        return httpx.get(f"{url}/metrics", timeout=5, trust_env=False).text

    with running("up", "--config", str(config)) as process:
        assert process.stdout is not None
        assert any("Ctrl-C stops it" in line for line in iter(process.stdout.readline, ""))
        config.write_text(config.read_text().replace("cooldown_s: 30", "cooldown_s: 31"))
        process.send_signal(signal.SIGHUP)
        until(lambda: 'tollway_config_reloads_total{result="applied"} 1.0' in metrics())
        config.write_text("tiers: {")
        process.send_signal(signal.SIGHUP)
        assert any("not reloaded" in line for line in iter(process.stdout.readline, ""))
        until(lambda: 'tollway_config_reloads_total{result="rejected"} 1.0' in metrics())
        assert process.poll() is None


def test_the_gateway_has_longer_to_stop_than_its_streams_have_to_end(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    config.write_text(config.read_text().replace("drain_s: 8 ", "drain_s: 600 "))
    within = {part.name: part.stop_within_s for part in parts(read(config, ENV))}
    assert within["gateway"] > 600 + 2
    assert within["collector"] == 15


def test_what_the_gateway_stands_on_outside_its_own_sections_is_said_to_need_a_restart(tmp_path: Path) -> None:
    config = config_in(tmp_path)
    started = read(config, ENV)
    config.write_text(config.read_text().replace("./data", "./elsewhere"))
    assert gateway_restarts(started, read(config, ENV)) == ("data_dir",)
    assert gateway_restarts(started, started) == ()


def test_a_link_to_the_file_is_read_where_it_leads_each_time(tmp_path: Path) -> None:
    first, second, link = tmp_path / "a" / "t.yaml", tmp_path / "b" / "t.yaml", tmp_path / "tollway.yaml"
    for path, cooldown in ((first, "30"), (second, "31")):
        path.parent.mkdir()
        path.write_text(EXAMPLE.read_text().replace("cooldown_s: 30", f"cooldown_s: {cooldown}"))
    link.symlink_to(first)
    settings = read(link, ENV)
    link.unlink()
    link.symlink_to(second)
    assert read(settings.path, ENV).file.breaker.cooldown_s == 31
    assert read(settings.path, ENV).data_dir == settings.data_dir == tmp_path / "data"
