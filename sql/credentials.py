"""The store's two users and their passwords: made at first start, kept in 0600 files, compared in constant time.

A password is never logged, never in a URL, never on a command line. Where TOLLWAY_CLICKHOUSE_URL names another server,
that server's users apply and nothing here is used.
"""

import contextlib
import hmac
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

WRITER = "tollway"
READER = "reader"
_FILES = {WRITER: "store-writer", READER: "store-reader"}


class CredentialsError(RuntimeError):
    """A password file that cannot be used; the message is one line for an operator."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The passwords of the embedded store, by user."""

    writer: str
    reader: str

    def __repr__(self) -> str:
        return "Credentials(writer=..., reader=...)"

    def admit(self, user: str, password: str) -> str | None:
        """The user's name when the password is theirs, else None. Takes as long for a wrong user as for a right one."""
        writer = hmac.compare_digest(password.encode(), self.writer.encode())
        reader = hmac.compare_digest(password.encode(), self.reader.encode())
        if writer and user == WRITER:
            return WRITER
        return READER if reader and user == READER else None


def ensure(data_dir: Path) -> Credentials:
    """The passwords in `<data_dir>/secrets`, generated where a file is missing. Raises CredentialsError."""
    folder = data_dir / "secrets"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        return Credentials(writer=ensure_file(folder / _FILES[WRITER]), reader=ensure_file(folder / _FILES[READER]))
    except OSError as fault:
        raise CredentialsError(f"{fault.filename or folder}: {fault.strerror}") from fault


def read(data_dir: Path, user: str) -> str:
    """The password of one user (WRITER or READER). Raises CredentialsError when the store has not made it yet."""
    path = data_dir / "secrets" / _FILES[user]
    try:
        return _read(path)
    except FileNotFoundError as fault:
        raise CredentialsError(f"{path} is missing: start the store once, it generates it") from fault
    except OSError as fault:
        raise CredentialsError(f"{path}: {fault.strerror}") from fault


def ensure_file(path: Path) -> str:
    """The secret in that file, generated if there is none; its owner's alone. Raises OSError or CredentialsError.

    Processes and threads may ask at once: the first link wins and all read the same secret.
    """
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    path.chmod(0o600)
    return _read(path)


def _read(path: Path) -> str:
    password = path.read_text("utf-8").strip()
    if len(password) < 16:
        raise CredentialsError(f"{path} holds no usable password: delete it and start again, another is generated")
    return password
