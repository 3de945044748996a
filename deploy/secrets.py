"""Tokens that this installation makes for itself, each in a file of its own that only its owner can read."""

import os
import secrets
from pathlib import Path

from deploy.settings import Settings


def gateway_token(settings: Settings) -> str:
    """The gateway's token at the collector; made at first use."""
    return ensure_secret(settings.data_dir / "secrets" / "otlp-gateway")


def ensure_secret(path: Path) -> str:
    """The secret in that file, made (192 random bits) if the file is not there. Two processes at once agree on one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        try:
            return path.read_text("ascii").strip()
        except FileNotFoundError:
            pass
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(24))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
