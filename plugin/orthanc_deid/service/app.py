"""Builds the application: routes from their table, errors to status codes in one table, the secret at the door."""

import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from .. import __version__, faults, log
from ..errors import ConfigurationError, Conflict, DeidError, Forbidden, NotFound, Rejected, Retriable
from .models import Problem
from .routes import ROUTES
from .runtime import Runtime

STATUS: dict[type[DeidError], tuple[int, str]] = {
    NotFound: (404, "not found"),
    Forbidden: (403, "not allowed"),
    Conflict: (409, "the state does not allow it"),
    Rejected: (422, "refused"),
    Retriable: (503, "try again later"),
    ConfigurationError: (500, "configuration"),
}


def build(runtime: Runtime, secret: str) -> FastAPI:
    """Return the application; every request must carry the secret that the plugin made."""

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        runtime.start()
        yield
        runtime.stop()

    # Offline: the stock documentation page loads its scripts from another host.
    app = FastAPIOffline(
        title="Orthanc De-ID",
        version=__version__,
        lifespan=life,
        openapi_url="/deid/openapi.json",
        docs_url="/deid/docs",
        redoc_url=None,
        static_url="/deid/docs-static",
    )
    app.state.runtime = runtime
    for route in ROUTES:
        app.add_api_route(
            route.path,
            route.function,
            methods=[route.method],
            status_code=route.status,
            response_model=route.model,
            responses={code: _described(code) for code in (*route.errors, 503)},
            summary=(route.function.__doc__ or "").split("\n")[0],
            include_in_schema=route.path.startswith("/deid/"),
            openapi_extra=_body(route.body) if route.body else None,
        )
    for error in (DeidError, SQLAlchemyError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(error, _answer)

    @app.middleware("http")
    async def only_with_secret(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if not secrets.compare_digest(request.headers.get("x-deid-secret", ""), secret):
            await run_in_threadpool(runtime.own_audit.refuse)
            return problem(401, "log-in", "ask through Orthanc, under /deid/")
        return await go_on(request)

    return app


def problem(status: int, title: str, detail: str, field: str | None = None) -> JSONResponse:
    """Return an RFC 9457 problem."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    if field:
        body["field"] = field
    headers = {"Retry-After": "2"} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _body(model: type[BaseModel]) -> dict[str, Any]:
    """Return what the OpenAPI description says of a body that a function reads by itself."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


def _described(code: int) -> dict[str, Any]:
    """Return what the OpenAPI description says of an error; without it the framework names a model of its own."""
    title = next(title for status, title in STATUS.values() if status == code)
    return {"description": title, "content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}


async def _answer(_request: Request, error: Exception) -> JSONResponse:
    """Turn an error into a problem; only texts of our own are shown, since others may hold an identity."""
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return problem(422, "field", str(first["msg"]), ".".join(map(str, first["loc"])))
    if isinstance(error, HTTPException):
        return problem(error.status_code, "request", str(error.detail))
    if isinstance(error, DeidError):
        status, title = STATUS.get(type(error), (500, "internal error"))
        return problem(status, title, str(error))
    if isinstance(error, SQLAlchemyError):
        return problem(503, "try again later", "the database is away")
    told = faults.told(error)
    log.event("request failed", level=logging.ERROR, error=told)
    return problem(500, "internal error", told)
