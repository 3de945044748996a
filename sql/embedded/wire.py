"""The ClickHouse HTTP protocol as values: what a request asks for, and how an answer is worded.

Pure functions over bytes and strings. Nothing here knows the engine, sockets or who is asking.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sql.embedded.errors import StoreError

TRANSPORT = frozenset(
    {
        "query", "user", "password", "database", "default_format", "session_id", "session_timeout", "session_check",
        "close_session", "query_id", "quota_key", "buffer_size", "role", "stacktrace", "wait_end_of_query",
        "client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms",
        "enable_http_compression", "http_zlib_compression_level", "cancel_http_readonly_queries_on_client_close",
        "replace_running_query", "add_http_cors_header", "log_queries",
    }
)  # fmt: skip
"""URL parameters that concern the transport; every other one is a setting, but for `param_*`.

A session is not kept and an answer is always whole and never compressed, so most of them are true already or harmless.
"""

CONTENT_TYPES = {
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "JSON": "application/json; charset=UTF-8",
    "JSONCompact": "application/json; charset=UTF-8",
    "JSONEachRow": "application/x-ndjson; charset=UTF-8",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Native": "application/octet-stream",
}


@dataclass(frozen=True, slots=True)
class Request:
    """What one HTTP request asks of the store."""

    text: bytes
    """The statement, and behind an INSERT its data, or the first of it."""
    params: Mapping[str, str]
    """Query parameters without their `param_` prefix, escaped as the client sent them."""
    settings: Mapping[str, str]
    query_id: str
    database: str = ""
    default_format: str = "TabSeparated"
    read_only: bool = False
    """A GET may only read, as in ClickHouse."""
    rest: tuple[bytes, ...] = ()
    """What follows behind the text, as it came: the body of an INSERT that began in the URL. It may be large."""

    def joined(self) -> "Request":
        """The same with all of it in the text."""
        return replace(self, text=b"".join((self.text, *self.rest)), rest=()) if self.rest else self


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave."""

    data: bytes = b""
    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0

    def summary(self) -> str:
        """The value of X-ClickHouse-Summary: JSON whose numbers are strings."""
        counts = {
            "read_rows": self.read_rows,
            "read_bytes": self.read_bytes,
            "written_rows": self.written_rows,
            "written_bytes": self.written_bytes,
            "total_rows_to_read": self.read_rows,
            "elapsed_ns": self.elapsed_ns,
        }
        return json.dumps({name: str(count) for name, count in counts.items()}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer as HTTP."""

    headers: dict[str, str]
    body: bytes


def request(url: Mapping[str, str], body: Sequence[bytes], *, query_id: str, read_only: bool = False) -> Request:
    """The request told by URL parameters and a decoded body's pieces. Raises StoreError for what is not spoken here."""
    if url.get("compress") == "1" or url.get("decompress") == "1":
        raise StoreError(
            48, "NOT_IMPLEMENTED", "ClickHouse's block compression is not spoken here; use Content-Encoding"
        )
    query, pieces = url.get("query", "").encode(), tuple(piece for piece in body if piece)
    if pieces and query.lstrip()[:6].upper() == b"INSERT":
        text, rest = query + b"\n", pieces
    else:
        text, rest = b"\n".join(filter(None, (query, b"".join(pieces)))), ()
    if not text.strip():
        raise StoreError(62, "SYNTAX_ERROR", "Empty query")
    settings = {k: v for k, v in url.items() if k not in TRANSPORT and not k.startswith("param_")}
    return Request(
        text=text,
        params={k.removeprefix("param_"): v for k, v in url.items() if k.startswith("param_")},
        settings={k: v for k, v in settings.items() if k not in ("compress", "decompress")},
        query_id=query_id,
        database=url.get("database", ""),
        default_format=url.get("default_format", "TabSeparated"),
        read_only=read_only,
        rest=rest,
    )


def reply(done: Answer, form: str) -> Reply:
    """The answer of the engine as HTTP; `form` is "" for a statement that returns no rows."""
    headers = {
        "content-type": CONTENT_TYPES.get(form, "text/plain; charset=UTF-8"),
        "x-clickhouse-summary": done.summary(),
    }
    if form:
        headers["x-clickhouse-format"] = form
    return Reply(headers, done.data)
