"""Errors as callers see them: always {"error": {"code": ..., "message": ...}}, whatever went wrong."""

import logging
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from segtalker.errors import SegTalkerError, StorageError
from serve.api.service import Busy

_log = logging.getLogger("segtalker.api")
_CODES = {404: "not_found", 405: "method_not_allowed"}
_REMEDIES = {404: "See /openapi.json for what there is.", 405: "The header Allow names what is understood."}


class ApiError(Exception):
    """A refusal: `code` is for programs, `message` one sentence with a remedy for people."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def retry_later(status: int, code: str, message: str, after_s: float) -> ApiError:
    """A refusal that a later try may not meet; Retry-After is in whole seconds, at least 1."""
    return ApiError(status, code, message, {"Retry-After": str(max(1, math.ceil(after_s)))})


def explain_validation(errors: Sequence[Mapping[str, Any]], where: str = "") -> str:
    """What pydantic found, in one sentence a mistake; the first three."""
    sentences = []
    for error in errors[:3]:
        place = ".".join(str(part) for part in ([where] if where else []) + list(error["loc"])) or "body"
        if error["type"] == "extra_forbidden":
            sentences.append(f"{place}: unknown key; leave it out or mend its name.")
        else:
            message = str(error["msg"]).removeprefix("Value error, ")
            sentences.append(f"{place}: {message}.")
    return " ".join(sentences)


def add_error_handlers(api: FastAPI) -> None:
    """Give every failure the one shape."""
    api.add_exception_handler(ApiError, _refused)
    api.add_exception_handler(HTTPException, _no_route)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(SegTalkerError, _unusable)
    api.add_exception_handler(ClientDisconnect, _gone)


def validation_error(error: ValidationError, where: str) -> ApiError:
    """The refusal for a document inside a request, such as the JSON of `options`."""
    return ApiError(422, "invalid_request", explain_validation(error.errors(), where))


def broken(method: str, path: str, error: Exception) -> JSONResponse:
    """The answer for a fault of the service; the log has the cause under the same number."""
    number = uuid.uuid4().hex[:12]
    _log.error("%s %s failed (%s)", method, path, number, exc_info=error)
    message = f"Something went wrong inside the service; try again, or report {number} to its operator."
    return _answer(500, "internal_error", message)


def _answer(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=dict(headers or {}))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _answer(error.status, error.code, error.message, error.headers)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES.get(error.status_code, f"http_{error.status_code}")
    message = f"{request.method} {request.url.path}: {error.detail}. {_REMEDIES.get(error.status_code, '')}"
    headers = dict(error.headers or {})
    if error.status_code == 405:
        first = headers.get("Allow", "").split(", ")  # of the route that came first; others share its path
        headers["Allow"] = ", ".join(sorted({*first, *_methods_of(request)}))
    return _answer(error.status_code, code, message.strip(), headers)


def _methods_of(request: Request) -> set[str]:
    """Methods that our routes have for the path of a request."""
    routes = [route for router in request.app.state.routers for route in router.routes]
    fitting = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in fitting for method in route.methods}


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return _answer(422, "invalid_request", explain_validation(error.errors()))


async def _unusable(request: Request, error: Exception) -> Response:
    if isinstance(error, Busy):
        busy = retry_later(503, "busy", str(error), error.retry_after_s)
        return _answer(busy.status, busy.code, busy.message, busy.headers)
    if isinstance(error, StorageError):
        _log.error("%s %s: %s", request.method, request.url.path, error)
        down = retry_later(503, "storage_unavailable", "The job storage cannot be reached; try again.", 5)
        return _answer(down.status, down.code, down.message, down.headers)
    return _answer(422, "unusable_input", str(error))


async def _gone(request: Request, error: Exception) -> Response:
    return _answer(400, "client_gone", "The request ended before all of it had arrived; send it again.")
