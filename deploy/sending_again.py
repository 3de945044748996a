"""Parked spans sent to the collector again, under the name of their sender, once what they were refused for is mended.

What is parked is known no more, so it is taken like any request, once; its files then move to `parked/landed`. Killed
between the two, the next run sends it again, and the collector knows it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from deploy.errors import OperatorError
from deploy.secrets import gateway_token
from deploy.settings import SENDER_GATEWAY, Settings
from deploy.tls import to_collector

SENT = "landed"
"""The folder within the parked one."""
SEND_S = 60.0


@dataclass(frozen=True, slots=True)
class Parked:
    """One parked batch."""

    batch_id: str
    sender: str
    tenant: str | None
    spans: int
    reason: str
    path: Path
    """Its OTLP bytes."""


def parked(folder: Path) -> list[Parked]:
    """What is parked there and was not sent again, but for damaged segments, which are no batches. Raises OSError."""
    found = []
    for path in sorted(folder.glob("*.otlp")):
        told: dict[str, Any] = orjson.loads(path.with_suffix(".json").read_bytes())
        place = (str(told["sender"]), told["tenant"], int(told["rows"]), str(told["reason"]))
        found.append(Parked(path.stem, *place, path))
    return found


def send_again(settings: Settings, chosen: Sequence[Parked]) -> Iterator[tuple[Parked, str]]:
    """Send each; it, and why it stays parked, "" = the collector has it. Raises OperatorError for one that is away."""
    import httpx

    tls = to_collector(settings)
    try:
        with httpx.Client(verify=tls or True, trust_env=False, timeout=SEND_S) as client:
            for one in chosen:
                why = _send(settings, client, one)
                if not why:
                    _move(one.path)
                yield one, why
    except httpx.TransportError as error:
        raise OperatorError(
            f"the collector at {settings.otlp_url} does not answer ({error}): start it with "
            f"`tollway up --config {settings.path}`; what was not sent yet is still parked"
        ) from None


def _send(settings: Settings, client: Any, one: Parked) -> str:
    body = one.path.read_bytes()
    if not body:
        return "its bytes are lost: its sender has to send it again"
    token = _token(settings, one)
    if not token:
        return f"collector.senders has no {one.sender!r} of tenant {one.tenant!r} any more: put it back"
    headers = {"content-type": "application/x-protobuf", "authorization": f"Bearer {token}"}
    answer = client.post(f"{settings.otlp_url}/v1/traces", content=body, headers=headers)
    return "" if answer.status_code == 200 else f"the collector answered {answer.status_code}"


def _token(settings: Settings, one: Parked) -> str:
    if one.sender == SENDER_GATEWAY:
        return gateway_token(settings)
    entry = settings.file.collector.senders.get(one.sender)
    return entry.token.get_secret_value() if entry and entry.tenant == one.tenant else ""


def _move(path: Path) -> None:
    folder = path.parent / SENT
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in (path.with_suffix(".json"), path):
        name.rename(folder / name.name)
