"""The command line as a client of the finance API: where it is, with which token, and its refusals in one line.

The token comes from TOLLWAY_TOKEN, or from the file that TOLLWAY_TOKEN_FILE names, which nobody else may read. It is
never an argument: those are in every process list.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from deploy.errors import OperatorError
from deploy.settings import Settings

TOKEN, TOKEN_FILE = "TOLLWAY_TOKEN", "TOLLWAY_TOKEN_FILE"
SECONDS_MAX = 300.0


class ApiRefused(OperatorError):
    """The API said no; `error` is what it said."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(f"{error['message']} ({error['code']})")
        self.error = error


def ask(settings: Settings, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """What the API answers to one request. Raises OperatorError; ApiRefused for an answer that says no."""
    url = f"{settings.dashboards_url}/api/v1{path}"
    headers = {"authorization": f"Bearer {token(os.environ)}"}
    try:
        with httpx.Client(trust_env=False, timeout=SECONDS_MAX) as client:
            answer = client.request(method, url, json=body, headers=headers)
            found = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        way = f"start it with `tollway up --config {settings.path}`"
        raise OperatorError(f"the finance API at {url} does not answer ({type(error).__name__}); {way}") from None
    if answer.is_success:
        return found
    raise ApiRefused(found["error"])


def token(environment: Mapping[str, str]) -> str:
    """The token that the environment gives. Raises OperatorError, which never has it in its words."""
    if given := environment.get(TOKEN, "").strip():
        return given
    named = environment.get(TOKEN_FILE, "")
    if not named:
        way = f"set {TOKEN}, or {TOKEN_FILE} to a file of mode 0600; `tollway accounts token NAME` makes one"
        raise OperatorError(f"who are you? {way}")
    path = Path(named)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise OperatorError(f"{path} can be read by others: chmod 600 {path}")
    return path.read_text("utf-8").strip()
