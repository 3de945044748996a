"""The operator's routes, GET /admin/state and POST /admin/reload, behind gateway.admin_key as a bearer token.

Without a key configured they do not exist: the answer is that of any unknown route. Nothing shown is a secret, but
tenants, upstreams and their spending are, so the key is for operators alone.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from gateway.errors import ConfigRejected, MethodNotAllowed, Unauthenticated
from gateway.flow.reload import Reloaded, Serving
from gateway.flow.state import snapshot

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ROUTES = {"state": "GET", "reload": "POST"}


@dataclass(frozen=True, slots=True)
class Admin:
    """What the operator's routes act on."""

    serving: Serving
    journal: Callable[[], dict[str, object]] = dict
    """Figures of the journal and its shipper, by name."""

    def may(self, authorization: str | None) -> bool:
        """Whether that header carries the operator's key; in constant time. Raises HTTPException 404 without a key."""
        key = self.serving.plane.config.admin_key.get_secret_value()
        if not key:
            raise HTTPException(404)
        scheme, _, given = (authorization or "").partition(" ")
        same = hmac.compare_digest(_digest(given.strip().encode("latin-1")), _digest(key.encode()))
        return same and scheme.lower() == "bearer"

    def state(self, version: str) -> dict[str, object]:
        """The process at this moment."""
        serving = self.serving
        last = serving.last
        return {
            "version": version,
            "config": {
                "hash": serving.plane.config.fingerprint,
                "loaded_at": serving.loaded_at.isoformat().replace("+00:00", "Z"),
                "last_reload": None if last is None else outcome(last),
            },
            "rates_version": serving.plane.config.rates_version or None,
            "public_url": serving.plane.config.public_url,
            "client_base_url": serving.plane.config.client_base_url,
            **snapshot(serving.plane),
            "journal": self.journal(),
        }


def install(app: FastAPI, admin: Admin, version: str) -> None:
    """Add the routes."""

    @app.api_route("/admin/{name}", methods=METHODS, include_in_schema=False)
    async def operator(request: Request, name: str) -> Response:
        allowed = admin.may(request.headers.get("authorization"))
        if name not in ROUTES:
            raise HTTPException(404)
        if not allowed:
            raise Unauthenticated("Give the operator's key as a bearer token: `Authorization: Bearer <key>`.")
        if request.method != ROUTES[name]:
            raise MethodNotAllowed(f"{request.method} is not a method of this path; {ROUTES[name]} is.")
        if name == "state":
            return JSONResponse(admin.state(version))
        reloaded = await admin.serving.reload()
        if reloaded.faults:
            raise ConfigRejected(
                "The configuration has faults; the one before serves on. " + "; ".join(map(str, reloaded.faults))
            )
        return JSONResponse(outcome(reloaded))


def outcome(reloaded: Reloaded) -> dict[str, object]:
    """A reload as JSON."""
    return {
        "result": reloaded.result,
        "hash": reloaded.fingerprint,
        "changed": list(reloaded.changed),
        "next_start": list(reloaded.next_start),
        "faults": [{"path": fault.path, "problem": fault.problem} for fault in reloaded.faults],
    }


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
