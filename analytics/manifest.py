"""manifest.json: a pack's files, their hashes, the totals they agree on, what they were made from, who signed, and
the pack before. Its own hash stands for the whole pack: the next pack names it, and so does the audit trail.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from analytics.pack import SignOff
from analytics.reconciliation.summary import Reconciliation
from analytics.rfc4180 import text_of

FORMAT = "tollway-month-2"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of the pack. `rows` are those of a CSV, without its header; None = it is none."""

    name: str
    rows: int | None
    size: int
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes, rows: int | None) -> "PackFile":
        """That content, described."""
        return cls(name, rows, len(content), hashlib.sha256(content).hexdigest())


def text(
    month: Reconciliation,
    files: Sequence[PackFile],
    controls: Mapping[str, str],
    signed: SignOff,
    *,
    figures: str,
    previous: Mapping[str, bytes],
    tool: str,
) -> bytes:
    """The manifest as bytes; the same for the same pack."""
    content = {
        "format": FORMAT,
        "month": month.month,
        "period_start": text_of(month.window.since),
        "period_end": text_of(month.window.until),
        "time_zone": "UTC",
        "currency": "USD",
        "state": signed.state,
        "files": [{"name": f.name, "rows": f.rows, "bytes": f.size, "sha256": f.sha256} for f in files],
        "control_totals": dict(controls),
        "figures_sha256": figures,
        "accounts": [
            {
                "provider": account.provider,
                "account": account.account,
                "status": account.status,
                "unmeasured_attempts": account.unmeasured,
                "unpriced_attempts": account.unpriced,
            }
            for account in month.accounts
        ],
        "rate_cards": list(month.card_ids),
        "rate_card_version": rate_card_version(month),
        "sources": [{"kind": "import", "sha256": name} for name in month.import_ids],
        "sign_off": {
            "prepared_by": signed.prepared_by or None,
            "prepared_at": text_of(signed.prepared_at) or None,
            "reviewed_by": signed.reviewed_by or None,
            "reviewed_at": text_of(signed.reviewed_at) or None,
            "closed_at": text_of(signed.closed_at) or None,
        },
        "previous": _named(previous),
        "tool": tool,
    }
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def rate_card_version(month: Reconciliation) -> str:
    """One hash for all the cards that priced the month: each card's id has a hash of its prices."""
    return hashlib.sha256("\n".join(month.card_ids).encode()).hexdigest()[:16] if month.card_ids else ""


def month_of(folder: Path) -> str:
    """Whose files a folder holds; "" = nobody's that can be told."""
    try:
        held = json.loads((folder / MANIFEST).read_bytes()).get("month")
    except (FileNotFoundError, NotADirectoryError, ValueError, AttributeError):
        return ""
    return held if isinstance(held, str) else ""


def _named(previous: Mapping[str, bytes]) -> dict[str, str] | None:
    if not previous:
        return None
    content = previous[MANIFEST]
    return {"month": json.loads(content)["month"], "manifest_sha256": hashlib.sha256(content).hexdigest()}
