"""The one error of the embedded store: an error as ClickHouse words it, and how the engine's own becomes one."""

import re

STATUS = {
    **dict.fromkeys(
        (6, 26, 27, 36, 38, 41, 43, 53, 62, 69, 70, 72, 117, 158, 168, 349, 354, 396, 456, 457, 476, 636), 400
    ),
    **dict.fromkeys((16, 46, 47, 50, 56, 60, 73, 81, 115), 404),
    **dict.fromkeys((164, 192, 193, 497, 516), 403),
    **dict.fromkeys((159, 160), 408),
    **dict.fromkeys((307, 397), 413),
    48: 501,
    194: 401,
    202: 503,
    216: 409,
    243: 507,
    394: 499,
    745: 503,
}
"""HTTP statuses by exception code, as ClickHouse maps them; 500 where none is said."""

_ENGINE = re.compile(r"Code: (\d+)\. DB::Exception: (.*?) ?\(([A-Z][A-Z0-9_]+)\)(?: \(version [^)]*\))?\s*$", re.DOTALL)
_NOISE = re.compile(r"(?:Code: \d+\. DB::Exception: )+")
_VERSION = re.compile(r" \(version [\d.]+[^)]*\)")
_OUR_FILE = re.compile(r": \(in file/uri [^)]*\)|: While executing File: data for INSERT was parsed from file")


class StoreError(Exception):
    """An error as ClickHouse words it: a numeric code, its name, one message, and the HTTP status that goes with it."""

    def __init__(self, code: int, name: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.name = name
        self.message = message
        self.status = status or STATUS.get(code, 500)

    def body(self, version: str) -> bytes:
        """The text of the answer, in the shape every ClickHouse client parses."""
        return f"Code: {self.code}. DB::Exception: {self.message} ({self.name}) (version {version})\n".encode()


def engine_error(text: str) -> StoreError:
    """What the engine raised, taken apart; an unknown shape becomes code 1002 (UNKNOWN_EXCEPTION)."""
    start = text.find("Code: ")
    match = _ENGINE.match(text[start:].strip()) if start >= 0 else None
    if match is None:
        return StoreError(1002, "UNKNOWN_EXCEPTION", text.strip() or "the engine failed without a message")
    message = _OUR_FILE.sub("", _VERSION.sub("", _NOISE.sub("", match[2]))).strip()
    return StoreError(int(match[1]), match[3], message.removesuffix(".").removesuffix(f"({match[3]})").rstrip(" ."))


def refused(what: str) -> StoreError:
    """The refusal of a thing the store does not let through, in ClickHouse's words for a missing right."""
    return StoreError(497, "ACCESS_DENIED", f"Not enough privileges: the embedded store refuses {what}")


def too_large(limit: int) -> StoreError:
    """The refusal of a body over the limit."""
    return StoreError(397, "TOO_LARGE_REQUEST_BODY", f"the body is larger than {limit} bytes; send it in parts")
