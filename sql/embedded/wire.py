"""The ClickHouse HTTP protocol as values: what a request asks for, and how an answer or an error is worded.

Pure functions over bytes and strings. Nothing here knows the engine, sockets or who is asking.
"""

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import HTTP

TRANSPORT = frozenset(
    {
        "query", "user", "password", "database", "default_format", "session_id", "session_timeout", "session_check",
        "close_session", "query_id", "quota_key", "buffer_size", "role", "stacktrace", "wait_end_of_query",
        "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "enable_http_compression", "http_zlib_compression_level", "cancel_http_readonly_queries_on_client_close",
        "replace_running_query", "max_query_size_in_url", "add_http_cors_header", "log_queries",
    }
)  # fmt: skip
"""URL parameters that concern the transport; every other one is a setting, but for `param_*`."""

CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "Arrow": "application/octet-stream",
    "Native": "application/octet-stream",
}


class StoreError(Exception):
    """An error as ClickHouse words it: a numeric code, its name, one message."""

    def __init__(self, code: int, name: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message
        self.status = status or STATUS.get(code, 500)

    def body(self, version: str) -> bytes:
        """The text of the answer, in the shape every ClickHouse client parses."""
        return f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version})\n".encode()


STATUS = {
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 43, 53, 62, 69, 70, 72, 117, 158, 168, 349, 396, 456, 457, 636), 400),
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 73, 81, 115), 404),
    **dict.fromkeys((192, 193, 497, 516), 403),
    194: 401, 164: 403, 62_000: 400, 48: 501, 159: 408, 160: 408, 202: 503, 216: 409, 243: 507, 307: 413, 394: 499, 397: 413,
}  # fmt: skip
"""ClickHouse's own mapping of exception codes to HTTP statuses, where it is not 500."""

_ENGINE_ERROR = re.compile(
    r"Code: (\d+)\. DB::Exception: (.*?) ?\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\))?\s*$", re.DOTALL
)
_NOISE = re.compile(r"(?:Code: \d+\. DB::Exception: )+")
_TAIL = re.compile(r" \(version [\d.]+[^)]*\)")


def engine_error(text: str) -> StoreError:
    """What the engine raised, taken apart; an unknown shape becomes code 1002 (UNKNOWN_EXCEPTION)."""
    start = text.find("Code: ")
    match = _ENGINE_ERROR.match(text[start:].strip()) if start >= 0 else None
    if match is None:
        return StoreError(1002, "UNKNOWN_EXCEPTION", text.strip() or "the engine failed without a message")
    message = _TAIL.sub("", _NOISE.sub("", match[2])).strip()
    return StoreError(int(match[1]), match[3], message.removesuffix(f"({match[3]})").rstrip())


@dataclass(frozen=True, slots=True)
class Request:
    """What one HTTP request asks of the store."""

    text: bytes
    """The statement, and behind an INSERT its data."""
    params: Mapping[str, str]
    """Query parameters without their `param_` prefix, escaped as the client sent them."""
    settings: Mapping[str, str]
    query_id: str
    database: str = ""
    default_format: str = "TabSeparated"
    read_only: bool = False
    """A GET may only read, as in ClickHouse."""


def request(url: Iterable[tuple[str, str]], body: bytes, *, query_id: str, read_only: bool = False) -> Request:
    """The request told by URL parameters and a decoded body. Raises StoreError for what this endpoint does not speak."""
    pairs = dict(url)
    if pairs.get("compress") == "1" or pairs.get("decompress") == "1":
        raise StoreError(
            48, "NOT_IMPLEMENTED", "ClickHouse's own block compression is not spoken here; use Content-Encoding"
        )
    query = pairs.get("query", "").encode()
    text = query + b"\n" + body if query and body else query or body
    if not text.strip():
        raise StoreError(62, "SYNTAX_ERROR", "Empty query")
    return Request(
        text=text,
        params={k.removeprefix("param_"): v for k, v in pairs.items() if k.startswith("param_")},
        settings={k: v for k, v in pairs.items() if k not in TRANSPORT and not k.startswith("param_")},
        query_id=query_id,
        database=pairs.get("database", ""),
        default_format=pairs.get("default_format", "TabSeparated"),
        read_only=read_only,
    )


def form(content_type: str, body: bytes) -> dict[str, str]:
    """The text fields of a multipart form: how clients send a long query with its parameters."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body, policy=HTTP)
    if not message.is_multipart():
        raise StoreError(
            27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", "the body is not the multipart form its header claims"
        )
    fields: dict[str, str] = {}
    for part in message.iter_parts():  # type: ignore[attr-defined]
        if part.get_filename():
            raise StoreError(48, "NOT_IMPLEMENTED", "external tables are not supported by the embedded store")
        name = part.get_param("name", header="content-disposition")
        if name:
            fields[str(name)] = part.get_payload(decode=True).decode("utf-8")
    return fields


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body with its Content-Encoding undone, never more than `limit` bytes. Raises StoreError (413 over the limit)."""
    match encoding:
        case "" | "identity":
            return body
        case "gzip" | "deflate":
            unpack = zlib.decompressobj(31 if encoding == "gzip" else 15)
            data = _bounded(lambda: unpack.decompress(body, limit + 1), encoding)
        case "lz4":
            import lz4.frame

            data = _bounded(lambda: lz4.frame.LZ4FrameDecompressor().decompress(body, limit + 1), encoding)
        case "zstd":
            from backports import zstd

            data = _bounded(lambda: zstd.ZstdDecompressor().decompress(body, limit + 1), encoding)
        case _:
            raise StoreError(
                48,
                "NOT_IMPLEMENTED",
                f"Content-Encoding {encoding} is not supported; use gzip, deflate, lz4 or zstd",
                415,
            )
    if len(data) > limit:
        raise too_large(limit)
    return data


def _bounded(unpack: Callable[[], bytes], encoding: str) -> bytes:
    try:
        return unpack()
    except (EOFError, OSError, RuntimeError, ValueError, zlib.error) as fault:
        raise StoreError(
            354, "ZLIB_INFLATE_FAILED", f"the body is not the {encoding} its header claims", 400
        ) from fault


def too_large(limit: int) -> StoreError:
    """The refusal of a body over the limit."""
    return StoreError(397, "TOO_LARGE_REQUEST_BODY", f"the body is larger than {limit} bytes; send it in parts", 413)


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer."""

    headers: dict[str, str]
    body: bytes


def reply(done: "Answer", format: str) -> Reply:
    """The answer of the engine as HTTP; `format` is "" for a statement that returns no rows."""
    headers = {
        "content-type": CONTENT_TYPES.get(format, "text/plain; charset=UTF-8"),
        "x-clickhouse-summary": summary(
            read_rows=done.read_rows,
            read_bytes=done.read_bytes,
            written_rows=done.written_rows,
            written_bytes=done.written_bytes,
            elapsed_ns=done.elapsed_ns,
        ),
    }
    if format:
        headers["x-clickhouse-format"] = format
    return Reply(headers, done.data)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave."""

    data: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


def summary(
    *, read_rows: int = 0, read_bytes: int = 0, written_rows: int = 0, written_bytes: int = 0, elapsed_ns: int = 0
) -> str:
    """The value of X-ClickHouse-Summary: JSON whose numbers are strings."""
    counts = {
        "read_rows": read_rows,
        "read_bytes": read_bytes,
        "written_rows": written_rows,
        "written_bytes": written_bytes,
        "total_rows_to_read": read_rows,
        "elapsed_ns": elapsed_ns,
    }
    return json.dumps({name: str(count) for name, count in counts.items()}, separators=(",", ":"))
