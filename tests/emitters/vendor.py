"""A scripted vendor and a receiver of OTLP, on one loopback port: what the emitters are driven against.

The vendor answers chat completions (whole and streamed), responses and embeddings with counts that are fixed by what is
asked, so every token class of the corpora has one right value. The receiver keeps what is posted to any path that ends
in `/v1/traces`. Answer ids count up from the last `reset`.
"""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

WHOLE = {
    "prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050,
    "prompt_tokens_details": {"cached_tokens": 300, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                  "rejected_prediction_tokens": 0},
}  # fmt: skip
STREAMED = {
    "prompt_tokens": 500, "completion_tokens": 30, "total_tokens": 530,
    "prompt_tokens_details": {"cached_tokens": 100, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 10, "audio_tokens": 0, "accepted_prediction_tokens": 0,
                                  "rejected_prediction_tokens": 0},
}  # fmt: skip
CALLING = {"prompt_tokens": 80, "completion_tokens": 12, "total_tokens": 92}
CALL = {"id": "call_1", "type": "function", "function": {"name": "toll", "arguments": '{"axles": 2}'}}
CREATED = 1_790_000_000
MODEL = "gpt-4o-mini-2024-07-18"


class Stage(ThreadingHTTPServer):
    """The server, listening on a free port of loopback once it is made; use it as a context."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.exports: list[bytes] = []
        self.answers = 0
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def reset(self) -> None:
        """Forget what arrived, and count answers from 1 again."""
        self.exports, self.answers = [], 0

    @property
    def url(self) -> str:
        """Where it answers, without a path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def server_close(self) -> None:
        """Stop, and wait until it has."""
        self.shutdown()
        super().server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Stage  # type: ignore[assignment]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm: ClassVar[bool] = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self._body()
        if self.path.endswith("/v1/traces"):
            self.server.exports.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self._answer(200, "application/x-protobuf", b"")
        elif self.path.endswith(("/chat/completions", "/responses", "/embeddings")):
            self._vendor(json.loads(body))
        else:
            self._answer(200, "application/json", b"{}")

    def do_GET(self) -> None:
        self._answer(404, "application/json", b"{}")

    def _body(self) -> bytes:
        if self.headers["Transfer-Encoding"] != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _vendor(self, asked: dict[str, Any]) -> None:
        self.server.answers += 1
        if asked["model"] == "no-such-model":
            fault = {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}
            self._json({"error": fault}, status=404)
        elif self.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}]
            usage = {"prompt_tokens": 8, "total_tokens": 8}
            self._json({"object": "list", "model": asked["model"], "data": data, "usage": usage})
        elif self.path.endswith("/responses"):
            self._json(_response(self.server.answers))
        elif asked.get("stream"):
            self._stream(self.server.answers, with_usage=bool((asked.get("stream_options") or {}).get("include_usage")))
        else:
            self._json(_completion(self.server.answers, asked))

    def _stream(self, number: int, *, with_usage: bool) -> None:
        head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": CREATED, "model": MODEL}
        deltas = [{"role": "assistant", "content": ""}, {"content": "It takes "}, {"content": "a toll."}]
        chunks = [{**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if with_usage:
            chunks.append({**head, "choices": [], "usage": STREAMED})
        lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
        self._answer(200, "text/event-stream", ("".join(lines) + "data: [DONE]\n\n").encode())

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, "application/json", json.dumps(value).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _completion(number: int, asked: dict[str, Any]) -> dict[str, Any]:
    calls = bool(asked.get("tools")) and asked["messages"][-1]["role"] == "user"
    message: dict[str, Any] = {"role": "assistant", "content": "It takes a toll.", "refusal": None}
    if calls:
        message |= {"content": None, "tool_calls": [CALL]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if calls else "stop"}
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": CREATED, "model": MODEL,
        "service_tier": "default", "choices": [choice], "usage": CALLING if calls else WHOLE,
    }  # fmt: skip


def _response(number: int) -> dict[str, Any]:
    said = {"type": "output_text", "text": "It takes a toll.", "annotations": []}
    return {
        "id": f"resp_{number}", "object": "response", "created_at": CREATED, "status": "completed", "model": MODEL,
        "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [said]}],
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "metadata": {},
        "usage": {"input_tokens": 700, "input_tokens_details": {"cached_tokens": 200}, "output_tokens": 40,
                  "output_tokens_details": {"reasoning_tokens": 16}, "total_tokens": 740},
    }  # fmt: skip
