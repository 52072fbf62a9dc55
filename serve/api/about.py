"""Routes about the service itself, and its page."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from serve.api.answers import errors
from serve.api.auth import Caller
from serve.api.context import Context
from serve.api.errors import ApiError
from serve.api.files import names_etag
from serve.api.schemas import Health, Readiness
from serve.api.threads import in_thread
from serve.page import INDEX, PAGE_CSP, page_files


def about_routes(context: Context) -> APIRouter:
    """/v1/models, /healthz, /readyz."""
    caller_of = context.identify()
    routes = APIRouter(tags=["about"])

    @routes.get("/v1/models", summary="Networks, versions and regions", responses=errors())
    async def models(caller: Annotated[Caller, Depends(caller_of)]) -> dict[str, Any]:
        """Which weights answer here: sizes, SHA-256, and the names of the 12 regions."""
        return dict(await in_thread(context.service.describe))

    @routes.get("/healthz", summary="Does the process answer?")
    async def health() -> Health:
        """Without a token."""
        return Health()

    @routes.get(
        "/readyz",
        summary="Can work be taken?",
        response_model=Readiness,
        responses={503: {"model": Readiness, "description": "Not yet, or not now"}},
    )
    async def readiness() -> JSONResponse:
        """Without a token; names each part that is not ready and why."""
        parts = dict(await context.service.ready())
        ready = all(state == "ready" for state in parts.values())
        headers = {} if ready else {"Retry-After": "2"}
        return JSONResponse({"ready": ready, "parts": parts}, 200 if ready else 503, headers)

    return routes


def page_routes() -> APIRouter:
    """`/` and `/page/NAME`, which hold no secret: whoever opens them still needs a token to do anything."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def index(request: Request) -> Response:
        return _page_file(request, INDEX)

    @routes.get("/page/{name:path}")
    async def file(request: Request, name: str) -> Response:
        return _page_file(request, name)

    return routes


def _page_file(request: Request, name: str) -> Response:
    """A file of the page; `ApiError` 404 for whatever is not one."""
    file = page_files().get(name)
    if file is None:
        raise ApiError(404, "not_found", f"The page has no file {name[:80]!r}; start at /.")
    headers = {"Content-Security-Policy": PAGE_CSP, "Cache-Control": "no-cache", "ETag": file.etag}
    if names_etag(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.body, media_type=file.content_type, headers=headers)
