"""The finance API as an ASGI app of its own: no page's hooks run in it, and nothing of it is fetched from elsewhere."""

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.types import ASGIApp

from analytics.api import errors, months, periods, spend
from analytics.api.finance import Finance

ROOT = "/api/v1"
TELLING = HTTPBearer(auto_error=False, description="A token of `tollway accounts token NAME`.")
"""Only tells OpenAPI how to authenticate; `finance.acting` does it."""


def create(finance: Finance, *, version: str) -> ASGIApp:
    """The app; its OpenAPI document is at /api/v1/openapi.json, and there are no pages that would come from a CDN."""
    app = FastAPI(
        title="Tollway finance API",
        version=version,
        description="Spend, reconciliation, exceptions, periods, exports and rate cards. Money is text, exact.",
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{ROOT}/openapi.json",
    )
    app.state.finance = finance
    errors.install(app)
    for router in (spend.router, months.router, periods.router):
        app.include_router(router, prefix=ROOT, dependencies=[Depends(TELLING)])
    return app
