"""Tokens that this installation makes for itself, each in a file of its own that only its owner can read."""

from deploy.settings import Settings
from sql.credentials import ensure_file


def gateway_token(settings: Settings) -> str:
    """The gateway's token at the collector; made at first use. Raises OSError or CredentialsError."""
    return ensure_file(settings.data_dir / "secrets" / "otlp-gateway")
