"""What the doctor says of a collector's second listener, and of a replay that was stopped."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import typer

from collector.replay import alone
from collector.replay_ledger import ReplayLedger
from collector.replay_plan import Swap
from deploy.cli.doctor import doctor
from tests.collector.test_replay import batch
from tests.deploy.test_settings import ENV, EXAMPLE
from tests.ports import free_port


class Ready(BaseHTTPRequestHandler):
    """Answers as a part that is ready."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The doctor's finding of that name; None = it has none. Nothing runs but what a test starts."""
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)

    def ask(what: str, **listens: str) -> Any:
        text = EXAMPLE.read_text("utf-8").replace("data_dir: ./data", f"data_dir: {tmp_path / 'data'}")
        for port in (8080, 4318, 4317, 8050, 8051, 8123):
            text = text.replace(f"127.0.0.1:{port}", listens.get(f"on_{port}", f"127.0.0.1:{free_port()}"))
        config = tmp_path / "tollway.yaml"
        config.write_text(text, "utf-8")
        with pytest.raises(typer.Exit):
            doctor(config, as_json=True)
        return next((one for one in json.loads(capsys.readouterr().out) if one["what"] == what), None)

    return ask


@pytest.fixture
def http() -> Iterator[str]:
    """Where a collector is ready."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Ready)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("listening", [True, False])
def test_a_collector_that_does_not_take_grpc_is_found(told: Callable[..., Any], http: str, listening: bool) -> None:
    with ExitStack() as stack:
        port = free_port()
        if listening:
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        found = told("collector grpc", on_4318=http, on_4317=f"127.0.0.1:{port}")
        assert told("collector", on_4318=http)["state"] == "ok"
    assert found["state"] == ("ok" if listening else "fail")
    assert f"127.0.0.1:{port}" in found["words"]
    assert listening or "restart the collector" in found["words"]


def test_a_replay_that_was_stopped_is_found_and_one_that_runs_is_not(told: Callable[..., Any], tmp_path: Path) -> None:
    assert told("replay") is None
    folder = tmp_path / "data" / "collector" / "replays"
    with alone(folder):
        ledger = ReplayLedger(folder, now_ms=1)
        ledger.begin([Swap("b", batch("b~1"), "1-2.segment", "m")])
        ledger.close()
        assert told("replay") is None
    found = told("replay")
    assert found["state"] == "fail"
    assert found["words"].startswith("1 batches were begun")
    assert "`tollway replay-spool` finishes them" in found["words"]
