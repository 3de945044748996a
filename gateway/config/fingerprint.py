"""A short name for a checked configuration: equal values have equal fingerprints, whatever the file's layout.

Secrets count, so that a rotated key shows; from 64 bits of a digest over everything none can be told.
"""

import hashlib
import json

from pydantic import BaseModel, SecretStr


def fingerprint(section: BaseModel) -> str:
    """16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(section.model_dump(), sort_keys=True, default=_text).encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
