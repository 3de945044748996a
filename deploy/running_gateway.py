"""Talking to the running gateway as its operator: with gateway.admin_key, over its own address."""

from typing import Any

import httpx

from deploy.errors import OperatorError
from deploy.settings import Settings

TIMEOUT_S = 30.0


def reload(settings: Settings) -> dict[str, Any]:
    """Ask the gateway to read its configuration again; what it says became of it. Raises OperatorError."""
    key = settings.file.gateway.admin_key.get_secret_value()
    if not key:
        raise OperatorError("gateway.admin_key is not set, so the gateway takes no orders; send it a SIGHUP instead")
    url = f"{settings.gateway_url}/admin/reload"
    try:
        with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
            answer = client.post(url, headers={"authorization": f"Bearer {key}"})
    except httpx.HTTPError as error:
        raise OperatorError(
            f"no gateway answers at {settings.gateway_url} ({type(error).__name__}): {WAY_OUT}"
        ) from None
    if answer.status_code in {401, 404}:
        raise OperatorError(f"the gateway at {settings.gateway_url} has another operator key: {WAY_OUT}")
    if answer.status_code != 200:
        raise OperatorError(f"the gateway did not reload: {_message(answer)}")
    told: dict[str, Any] = answer.json()
    return told


WAY_OUT = "start it, or if gateway.listen or gateway.admin_key changed in the file, send it a SIGHUP"


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"
