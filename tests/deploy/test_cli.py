"""The command speaks plainly: help for each part, one line for an error, the exit code for what went wrong."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from deploy.cli.main import whole
from sql import credentials

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy" / "config" / "tollway.example.yaml"
ENV = {"ACME_KEY": "a-key-of-enough-length", "OPENAI_API_KEY": "sk-test", "PATH": "/usr/bin:/bin"}


def tollway(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
        env=ENV if env is None else env,
    )


def test_help_lists_every_subcommand() -> None:
    shown = tollway("--help").stdout
    for name in (
        "up",
        "demo",
        "serve",
        "check",
        "doctor",
        "query",
        "audit",
        "migrate",
        "invoices",
        "reconcile",
        "export",
        "period",
        "accounts",
        "replay-spool",
        "import",
    ):
        assert f"  {name} " in shown


@pytest.fixture(scope="module")
def command_line() -> typer.Typer:
    return whole()


@pytest.mark.parametrize(
    "command",
    [
        "up",
        "demo",
        "serve",
        "check",
        "doctor",
        "query",
        "audit",
        "migrate",
        "invoices import",
        "reconcile",
        "export",
        "export verify",
        "period sign",
        "accounts token",
        "aliases",
        "rates import",
        "rates approve",
    ],
)
def test_each_subcommand_has_help(command_line: typer.Typer, command: str) -> None:
    shown = CliRunner().invoke(command_line, [*command.split(), "--help"])
    assert shown.exit_code == 0
    assert f"Usage: tollway {command} " in shown.stdout


def test_a_good_configuration_checks_out() -> None:
    done = tollway("check", "--config", str(EXAMPLE), "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert told["ok"]
    assert told["aliases"] == ["bulk", "coder", "embed", "fast"]
    assert told["faults"] == []


def test_times_that_the_total_timeout_cuts_short_are_told_and_do_not_fail_the_check(tmp_path: Path) -> None:
    config = tmp_path / "tollway.yaml"
    config.write_text(EXAMPLE.read_text().replace("total_timeout_s: 120}", "total_timeout_s: 5}"))
    done = tollway("check", "--config", str(config))
    assert done.returncode == 0
    assert "first_token_timeout_s: 10 s is more than total_timeout_s (5 s)" in done.stderr
    assert "more than total_timeout_s" not in tollway("check", "--config", str(EXAMPLE)).stderr


def test_a_bad_configuration_fails_the_check_with_every_fault(tmp_path: Path) -> None:
    bad = tmp_path / "tollway.yaml"
    bad.write_text(EXAMPLE.read_text().replace("alias", "alais").replace("cooldown_s: 30", "cooldown_s: never"))
    done = tollway("check", "--config", str(bad), "--json")
    assert done.returncode == 3
    paths = {fault["path"] for fault in json.loads(done.stdout)["faults"]}
    assert {"aliases", "alaises", "breaker.cooldown_s"} <= paths


def test_text_that_is_not_yaml_is_told_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "tollway.yaml"
    bad.write_text("gateway:\n  listen: [unclosed\n")
    done = tollway("up", "--config", str(bad))
    assert done.returncode == 2
    assert "line 3" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_configuration_is_told_with_the_way_out(tmp_path: Path) -> None:
    done = tollway("query", "SELECT 1", "--config", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    assert "No such file" in done.stderr
    assert "--config" in done.stderr


def test_a_flag_that_does_not_exist_is_a_usage_error() -> None:
    done = tollway("check", "--colour")
    assert done.returncode == 2
    assert "--colour" in done.stderr


def test_a_month_of_another_form_is_a_usage_error() -> None:
    done = tollway("export", "--month", "November", "--out", "x", "--config", str(EXAMPLE))
    assert done.returncode == 2
    assert "YYYY-MM" in done.stderr


def test_an_account_nobody_configured_is_a_usage_error_that_lists_the_known(tmp_path: Path) -> None:
    done = tollway("invoices", "import", "x.csv", "--provider", "openai", "--account", "typo", "--config", str(EXAMPLE))
    assert done.returncode == 2
    assert "--provider openai --account org-main" in done.stderr


def test_a_store_that_is_not_running_is_told_in_one_line(tmp_path: Path) -> None:
    config = tmp_path / "tollway.yaml"
    config.write_text(EXAMPLE.read_text().replace("127.0.0.1:8123", "127.0.0.1:1"))
    credentials.ensure(tmp_path / "data")
    done = tollway("query", "SELECT 1", "--config", str(config))
    assert done.returncode == 1
    assert "does not answer; start it with `tollway up" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_where_nothing_ran_yet_is_told_so_and_left_alone(tmp_path: Path) -> None:
    config = tmp_path / "tollway.yaml"
    config.write_text(EXAMPLE.read_text())
    done = tollway("reconcile", "--config", str(config))
    assert done.returncode == 1
    assert "no store has run in" in done.stderr
    assert not (tmp_path / "data").exists()


def test_no_secret_is_ever_shown(tmp_path: Path) -> None:
    done = tollway("check", "--config", str(EXAMPLE), "--json")
    assert ENV["ACME_KEY"] not in done.stdout + done.stderr
    assert ENV["OPENAI_API_KEY"] not in done.stdout + done.stderr


def test_the_clients_token_is_never_an_argument_and_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    shown = tollway("period", "sign", "--help").stdout
    assert "token" not in shown.lower()
    asked = ["period", "sign", "--month", "2026-11", "--config", str(EXAMPLE)]
    done = tollway(*asked)
    assert done.returncode == 1
    assert "TOLLWAY_TOKEN_FILE" in done.stderr
    file = tmp_path / "token"
    file.write_text("tollway_secret")
    done = tollway(*asked, env=ENV | {"TOLLWAY_TOKEN_FILE": str(file)})
    assert f"chmod 600 {file}" in done.stderr
    file.chmod(0o600)
    done = tollway(*asked, env=ENV | {"TOLLWAY_TOKEN_FILE": str(file)})
    assert "does not answer" in done.stderr
    assert "tollway_secret" not in done.stderr
