"""What our connection class stands on inside uvicorn. A failure here means that uvicorn has changed: read its new
httptools_impl.py against gateway/wire/connection.py before anything else.
"""

import inspect

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from gateway.wire.connection import GatewayConnection
from gateway.wire.reply import Reply


def source(function: object) -> str:
    return inspect.getsource(function)  # type: ignore[arg-type]


def test_a_connection_is_made_from_a_config_a_state_and_an_app_state() -> None:
    assert list(inspect.signature(HttpToolsProtocol.__init__).parameters) == [
        "self", "config", "server_state", "app_state", "_loop",
    ]  # fmt: skip
    assert "config.http_protocol_class(" in source(Server.startup)


def test_the_methods_we_override_are_the_ones_uvicorn_calls() -> None:
    ours = {name for name, value in vars(GatewayConnection).items() if inspect.isfunction(value)}
    overridden = ours & {name for name in dir(HttpToolsProtocol) if not name.startswith("__")}
    assert overridden == {
        "_start_asgi_task", "connection_lost", "data_received", "on_body", "on_header", "on_headers_complete",
        "on_message_begin", "on_message_complete", "on_response_complete", "on_url", "pause_writing",
        "resume_writing", "send_400_response",
    }  # fmt: skip
    assert "on_response=self.on_response_complete" in source(HttpToolsProtocol.on_headers_complete)
    assert "self._start_asgi_task(self.cycle, app)" in source(HttpToolsProtocol.on_headers_complete)


def test_a_cycle_is_read_by_the_attributes_that_a_reply_has() -> None:
    asked = {
        name
        for method in ("connection_lost", "shutdown", "on_body", "on_message_complete", "on_headers_complete")
        for name in dir(RequestResponseCycle(**_cycle_arguments()))
        if f"cycle.{name}" in source(getattr(HttpToolsProtocol, method))
    }
    assert asked == {
        "response_complete", "disconnected", "message_event", "keep_alive", "body", "more_body",
    }  # fmt: skip
    # `body` is only touched for requests that are not ours.
    reply = Reply(None, None, [], version="1.1", keep_alive=True)  # type: ignore[arg-type]
    assert all(hasattr(reply, name) for name in asked - {"body"})


def _cycle_arguments() -> dict[str, object]:
    names = list(inspect.signature(RequestResponseCycle.__init__).parameters)[1:]
    assert "keep_alive" in names
    return dict.fromkeys(names)


def test_the_pipeline_is_filled_at_the_left_and_emptied_at_the_right() -> None:
    assert "self.pipeline.appendleft((self.cycle, app))" in source(HttpToolsProtocol.on_headers_complete)
    assert "cycle, app = self.pipeline.pop()" in source(HttpToolsProtocol.on_response_complete)


def test_a_framework_request_gets_its_scope_from_what_on_message_begin_makes() -> None:
    begin = source(HttpToolsProtocol.on_message_begin)
    assert '"headers": self.headers' in begin, "we add our headers to this very list"
    for line in ('self.url = b""', "self.expect_100_continue = False", "self.headers = []", "self.scope = {"):
        assert line in begin


def test_flow_control_is_uvicorns() -> None:
    assert {"pause_reading", "resume_reading", "pause_writing", "resume_writing"} <= set(dir(FlowControl))
    assert "write_paused" in source(FlowControl.__init__)


def test_the_server_ticks_and_keeps_the_headers_that_every_answer_carries() -> None:
    state = ServerState()
    assert (state.total_requests, state.connections, state.default_headers) == (0, set(), [])
    assert "self.server_state.default_headers = date_header" in source(Server.on_tick)
    assert "asyncio.sleep(0.1)" in source(Server.main_loop)
    assert list(inspect.signature(Server.handle_exit).parameters) == ["self", "sig", "frame"]
    assert "_captured_signals.append" in source(Server.handle_exit), "we leave that out, so nothing is raised again"


def test_a_class_is_taken_for_the_http_protocol() -> None:
    config = uvicorn.Config(lambda: None, http=GatewayConnection, log_config=None)
    assert config.http is GatewayConnection
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


def test_the_parser_tells_where_an_upgrade_left_off_and_what_a_callback_raised() -> None:
    class Raises:
        def on_headers_complete(self) -> None:
            raise ConnectionAbortedError

    offer = b"POST / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 2\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as upgrade:
        httptools.HttpRequestParser(object()).feed_data(offer + b"{}")
    assert upgrade.value.args == (len(offer),)
    with pytest.raises(httptools.HttpParserCallbackError) as error:
        httptools.HttpRequestParser(Raises()).feed_data(b"GET / HTTP/1.1\r\n\r\n")
    assert isinstance(error.value.__context__, ConnectionAbortedError)
