"""A vendor's account that keeps things: files, batches and responses of everyone who shares it, behind one key."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

from python_multipart.multipart import MultipartParser, parse_options_header

from tests.gateway.dialects import response as response_body
from tests.gateway.fakes import Line, Received, answer, chat


def form_of(request: Received) -> dict[str, bytes]:
    """The parts of a multipart body, by name."""
    _, options = parse_options_header(request.headers["content-type"])
    parts: dict[str, bytes] = {}
    state: dict[str, bytes] = {"field": b"", "value": b"", "name": b""}

    def begin() -> None:
        state["name"] = b""

    def field(data: bytes, start: int, end: int) -> None:
        state["field"] += data[start:end]

    def value(data: bytes, start: int, end: int) -> None:
        state["value"] += data[start:end]

    def header() -> None:
        if state["field"].lower() == b"content-disposition":
            _, found = parse_options_header(state["value"])
            state["name"] = found[b"name"]
            parts[found[b"name"].decode()] = b""
            if b"filename" in found:
                parts["filename"] = found[b"filename"]
        state["field"] = state["value"] = b""

    def data(raw: bytes, start: int, end: int) -> None:
        parts[state["name"].decode()] += raw[start:end]

    callbacks: Any = {
        "on_part_begin": begin,
        "on_header_field": field,
        "on_header_value": value,
        "on_header_end": header,
        "on_part_data": data,
    }
    parser = MultipartParser(options[b"boundary"], callbacks)
    parser.write(request.body)
    parser.finalize()
    return parts


def result_line(number: int, *, usage: dict[str, int] | None = None, **more: Any) -> bytes:
    """A good line of a batch's results."""
    body = {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1_790_000_000 + number, "model": "m0-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
        "usage": usage or {"prompt_tokens": 10, "completion_tokens": number, "total_tokens": 10 + number},
    }  # fmt: skip
    line = {
        "id": f"batch_req_{number}", "custom_id": f"r-{number}", "error": None,
        "response": {"status_code": 200, "request_id": "x", "body": body}, **more,
    }  # fmt: skip
    return json.dumps(line).encode() + b"\n"


def error_line(number: int) -> bytes:
    """A line of a request that failed."""
    body = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "bad"}}
    return result_line(number, response={"status_code": 400, "request_id": "x", "body": body})


class Vault:
    """Answers as the account would; `uploads` are its requests with forms, as they arrived."""

    def __init__(self, numbers_from: int = 0) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        self.contents: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.responses: dict[str, dict[str, Any]] = {}
        self.uploads: list[dict[str, bytes]] = []
        self.seen: list[tuple[str, str]] = []
        self._numbers = numbers_from

    async def __call__(self, line: Line, request: Received) -> None:
        """The reply of a scripted upstream."""
        parts = urlsplit(request.path)
        path = parts.path.removeprefix("/v1/").split("/")
        self.seen.append((request.method, parts.path))
        reply = getattr(self, f"_{path[0]}")(request, path[1:], parse_qs(parts.query))
        await reply(line, request)

    def finish(self, batch: str, *lines: bytes, status: str = "completed") -> str:
        """End a batch with those lines of results; the id of their file."""
        file = self._made("file-out")
        self.contents[file] = b"".join(lines)
        self.files[file] = self._file(file, "results.jsonl", "batch_output", len(self.contents[file]))
        self.batches[batch] |= {"status": status, "output_file_id": file, "completed_at": 1_790_000_900}
        return file

    def _made(self, prefix: str) -> str:
        self._numbers += 1
        return f"{prefix}-{self._numbers}"

    def _file(self, id_: str, name: str, purpose: str, size: int) -> dict[str, Any]:
        return {
            "id": id_, "object": "file", "bytes": size, "created_at": 1_790_000_000 + self._numbers, "filename": name,
            "purpose": purpose, "status": "processed",
        }  # fmt: skip

    def _files(self, request: Received, path: list[str], query: dict[str, list[str]]) -> Any:
        if request.method == "POST":
            form = form_of(request)
            self.uploads.append(form)
            id_ = self._made("file")
            self.contents[id_] = form["file"]
            purpose = form["purpose"].decode()
            self.files[id_] = self._file(id_, form["filename"].decode(), purpose, len(form["file"]))
            return answer(self.files[id_])
        if path and path[0] not in self.files:
            return self._none(path[0])
        if not path:
            return answer({"object": "list", "data": list(self.files.values()), "has_more": False})
        if path[1:] == ["content"]:
            return answer(self.contents[path[0]], content_type="application/octet-stream")
        if request.method == "DELETE":
            del self.files[path[0]]
            return answer({"id": path[0], "object": "file", "deleted": True})
        return answer(self.files[path[0]])

    def _batches(self, request: Received, path: list[str], query: dict[str, list[str]]) -> Any:
        if not path:
            id_ = self._made("batch")
            self.batches[id_] = {
                "id": id_, "object": "batch", "status": "validating", "created_at": 1_790_000_000,
                "output_file_id": None, "error_file_id": None, **request.json,
            }  # fmt: skip
            return answer(self.batches[id_])
        if path[0] not in self.batches:
            return self._none(path[0])
        if path[1:] == ["cancel"]:
            self.batches[path[0]]["status"] = "cancelling"
        return answer(self.batches[path[0]])

    def _responses(self, request: Received, path: list[str], query: dict[str, list[str]]) -> Any:
        if not path:
            id_ = self._made("resp")
            background = bool(request.json.get("background"))
            made = response_body("queued" if background else "completed", id=id_, background=background)
            self.responses[id_] = made | ({"usage": None} if background else {})
            return answer(self.responses[id_])
        if path[0] not in self.responses:
            return self._none(path[0])
        if path[1:] == ["input_items"]:
            return answer({"object": "list", "data": [{"id": "msg_in"}], "has_more": False})
        if path[1:] == ["cancel"]:
            self.responses[path[0]]["status"] = "cancelled"
        if request.method == "DELETE":
            del self.responses[path[0]]
            return answer({"id": path[0], "object": "response", "deleted": True})
        return answer(self.responses[path[0]])

    def _chat(self, request: Received, path: list[str], query: dict[str, list[str]]) -> Any:
        return answer(chat())

    def _none(self, id_: str) -> Any:
        message = f"No such thing: {id_}"
        error = {"message": message, "type": "invalid_request_error", "param": "id", "code": None}
        return answer({"error": error}, 404)
