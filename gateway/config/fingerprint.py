"""A short name for a checked configuration: equal values have equal fingerprints, whatever the file's layout.

Secrets count, so that a rotated key shows; from 64 bits of a digest over everything none can be told.
"""

import hashlib
import json

from pydantic import BaseModel, SecretStr


def fingerprint(section: BaseModel, more: str = "") -> str:
    """16 hexadecimal digits; `more` is what belongs to it and stands elsewhere."""
    text = json.dumps(section.model_dump(), sort_keys=True, default=_text) + more
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
