"""Request bodies: undoing their Content-Encoding within a limit, and reading the fields of a multipart form."""

import zlib
from collections.abc import Callable
from email import message_from_bytes
from email.policy import HTTP
from importlib import import_module

from sql.embedded.errors import StoreError, too_large


def inflate(body: bytes, encoding: str, limit: int) -> bytes:
    """The body with its Content-Encoding undone, never more than `limit` bytes. Raises StoreError (413 beyond it)."""
    match encoding:
        case "" | "identity":
            return body
        case "gzip" | "deflate":
            unpack = zlib.decompressobj(31 if encoding == "gzip" else 15)
            data = _decoded(lambda: unpack.decompress(body, limit + 1), encoding)
        case "lz4":
            lz4 = import_module("lz4.frame")
            data = _decoded(lambda: lz4.LZ4FrameDecompressor().decompress(body, limit + 1), encoding)
        case "zstd":
            from backports import zstd

            data = _decoded(lambda: zstd.ZstdDecompressor().decompress(body, limit + 1), encoding)
        case _:
            raise StoreError(
                48, "NOT_IMPLEMENTED", f"Content-Encoding {encoding!r} is none of gzip, deflate, lz4 and zstd", 415
            )
    if len(data) > limit:
        raise too_large(limit)
    return data


def form(content_type: str, body: bytes) -> dict[str, str]:
    """The text fields of a multipart form: how clients send a long query with its parameters. Raises StoreError."""
    message = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body, policy=HTTP)
    if not message.is_multipart():
        raise StoreError(
            27, "CANNOT_PARSE_INPUT_ASSERTION_FAILED", "the body is not the multipart form it claims to be"
        )
    fields: dict[str, str] = {}
    for part in message.iter_parts():
        if part.get_filename():
            raise StoreError(48, "NOT_IMPLEMENTED", "external tables are not supported by the embedded store")
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if name and isinstance(payload, bytes):
            fields[str(name)] = payload.decode("utf-8", "replace")
    return fields


def _decoded(unpack: Callable[[], bytes], encoding: str) -> bytes:
    try:
        return unpack()
    except Exception as fault:
        raise StoreError(354, "ZLIB_INFLATE_FAILED", f"the body is not the {encoding} its header claims") from fault
