"""The surface in use as a file: YAML that a person can read, edit and keep under version control."""

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from deploy.errors import OperatorError

VERSION = 1


@dataclass(frozen=True, slots=True)
class Use:
    """One way in which a tenant calls us."""

    tenant: str
    alias: str
    """"" for a request that names none: a list of files or batches, a file before its batch."""
    tier: str
    route: str
    stream: bool
    tool_format: str
    """tools, functions, or "" for none."""

    def __str__(self) -> str:
        how = ", ".join(filter(None, ("streaming" if self.stream else "", self.tool_format)))
        what = f"{self.alias} at {self.route}" if self.alias else self.route
        return f"{self.tenant} calls {what}" + (f" ({how})" if how else "")


def write(path: Path, rows: list[dict[str, Any]], *, since: datetime, now: datetime) -> None:
    """Freeze those rows, each a Use with its `requests` and `last_used`. Raises OSError."""
    document = {
        "tollway_contract": VERSION,
        "frozen_at": _stamp(now),
        "in_use_since": _stamp(since),
        "uses": [{**row, "last_used": _stamp(row["last_used"])} for row in rows],
    }
    path.write_text(yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True), "utf-8")


def read(path: Path) -> list[Use]:
    """The uses in a file. Raises OperatorError for one that is no contract, OSError."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
        if document["tollway_contract"] != VERSION:
            raise OperatorError(f"{path}: its version is {document['tollway_contract']!r}; this one reads {VERSION}")
        return [Use(**_typed({name: use[name] for name in (f.name for f in fields(Use))})) for use in document["uses"]]
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise OperatorError(f"{path} is not a contract ({reason}); `tollway contract freeze` writes one") from None


def _typed(use: dict[str, Any]) -> dict[str, Any]:
    for name, value in use.items():
        if not isinstance(value, bool if name == "stream" else str):
            raise TypeError(f"{name}: {value!r}")
    return use


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def as_dict(use: Use) -> dict[str, Any]:
    """For JSON."""
    return asdict(use)
