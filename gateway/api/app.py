"""The routes off the data path: models, health, metrics, the API's description, and an OpenAI envelope for every error.

What asks a model is answered below the framework (gateway/wire); here it only refuses other methods and is described.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from gateway.api import models_list
from gateway.api.admin import Admin
from gateway.api.admin import install as install_admin
from gateway.api.feedback import install as install_feedback
from gateway.api.openapi import ERROR_RESPONSES, MODEL_RESPONSES, operation
from gateway.config import Tenant
from gateway.domain import clock
from gateway.errors import CallerError, GatewayError, Internal, MethodNotAllowed, Unauthenticated, UnknownRoute
from gateway.flow.heads import refusal
from gateway.flow.plane import Plane
from gateway.stored.routes import install as install_stored
from gateway.wire.arrival import request_id
from gateway.wire.kinds import Kind

VERSION = "0.2.0"
OTHER_METHODS = ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"]


def create_app(plane_of: Callable[[], Plane | None], admin: Admin | None = None, *, lifespan: Any = None) -> FastAPI:
    """The application; `plane_of` gives the plane once the process is ready to serve, None before and after. The
    operator's routes are there if `admin` is."""
    app = FastAPI(
        title="Tollway gateway",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,  # A redirect would name the scheme that we see, and send a key behind TLS out in clear.
        lifespan=lifespan,
    )

    def plane() -> Plane:
        served = plane_of()
        if served is None:
            raise HTTPException(503)
        return served

    def tenant(request: Request) -> Tenant:
        authorization = request.headers.get("authorization")
        found = plane().keys.tenant_of(authorization.encode("latin-1") if authorization is not None else None)
        if found is None:
            raise Unauthenticated("Give your key as a bearer token: `Authorization: Bearer <key>`.")
        return found

    @app.get("/healthz", summary="The process lives")
    async def healthz() -> Response:
        return JSONResponse({"status": "ok"})

    @app.get("/readyz", summary="The process can take requests")
    async def readyz() -> Response:
        served = plane_of()
        ready = served is not None and not served.draining
        return JSONResponse({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    @app.get("/metrics", summary="Prometheus metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(plane().metrics)
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def only_post(request: Request) -> Response:
        return _answer(request, MethodNotAllowed(f"{request.method} is not a method of this path."), {"allow": "POST"})

    for kind in Kind:
        app.add_api_route(kind.route, only_post, methods=OTHER_METHODS, include_in_schema=False)

    _install_models(app, plane, tenant)
    install_stored(app, plane, tenant)
    install_feedback(app, plane, tenant)
    if admin is not None:
        install_admin(app, admin, VERSION)
    _install_errors(app)
    _describe_data_path(app)
    return app


def _install_models(app: FastAPI, plane: Callable[[], Plane], tenant: Callable[[Request], Tenant]) -> None:
    @app.get("/v1/models", summary="The caller's own aliases", responses=ERROR_RESPONSES)
    async def models(request: Request) -> Response:
        served, caller = plane(), tenant(request)
        aliases = served.catalogue.aliases_of(caller)
        return JSONResponse(models_list.listing(served.config, caller, aliases, clock.utc_now()))

    @app.get("/v1/models/{name:path}", summary="One of the caller's own aliases", responses=MODEL_RESPONSES)
    async def model(request: Request, name: str) -> Response:
        served, caller = plane(), tenant(request)
        alias = served.catalogue.own(caller, name)
        return JSONResponse(models_list.model(served.config, caller, alias, clock.utc_now()))


def _install_errors(app: FastAPI) -> None:
    @app.exception_handler(GatewayError)
    async def known(request: Request, error: GatewayError) -> Response:
        return _answer(request, error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return _answer(request, UnknownRoute(f"There is no {request.method} {request.url.path[:200]} here."))
        if error.status_code == 405:
            message = f"{request.method} is not a method of this path."
            return _answer(request, MethodNotAllowed(message), dict(error.headers or {}))
        mine = CallerError("The request cannot be served.") if error.status_code < 500 else Internal("Not ready.")
        mine.status = error.status_code
        return _answer(request, mine)

    @app.exception_handler(Exception)
    async def unknown(request: Request, error: Exception) -> Response:
        return _answer(request, Internal("The gateway made a mistake; it has been logged."))


def _answer(request: Request, error: GatewayError, headers: dict[str, str] | None = None) -> Response:
    named = {name.lower(): value for name, value in request.headers.raw}
    lines = refusal(request_id(named), error).decode("ascii").split("\r\n")
    own = dict(line.split(": ", 1) for line in lines if line)
    body = b"" if request.method == "HEAD" else error.envelope()
    return Response(body, error.status, {**own, **(headers or {})})


def _describe_data_path(app: FastAPI) -> None:
    def description() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
            schema["paths"].update({kind.route: {"post": operation(kind)} for kind in Kind})
            schema.setdefault("components", {})["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = description  # type: ignore[method-assign]
