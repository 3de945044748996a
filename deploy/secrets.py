"""Tokens that this installation makes for itself, each in a file of its own that only its owner can read."""

from deploy.settings import Settings
from sql.credentials import ensure_file


def hash_key(settings: Settings) -> str:
    """What keys the HMACs of caller-given ids: `gateway.hash_key`, or where it is empty one that is made once and kept.

    Raises OSError or CredentialsError.
    """
    configured = settings.file.gateway.hash_key.get_secret_value()
    return configured or ensure_file(settings.data_dir / "secrets" / "gateway_hash_key")


def gateway_token(settings: Settings) -> str:
    """The gateway's token at the collector; made at first use. Raises OSError or CredentialsError."""
    return ensure_file(settings.data_dir / "secrets" / "otlp-gateway")
