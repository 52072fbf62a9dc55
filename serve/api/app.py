"""The application: routes, what surrounds them, and /openapi.json."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

from serve.api.about import about_routes, page_routes
from serve.api.audit import show_audit
from serve.api.context import Context
from serve.api.dubs import BODY_MODELS, dub_routes
from serve.api.errors import add_error_handlers
from serve.api.guard import Guard
from serve.api.options import PictureOptions
from serve.api.pictures import picture_routes
from serve.api.retouch import retouch_routes
from serve.api.service import Service

_ABOUT = """Dub a film with new speech: send a video and a speech, get the video with a mouth that says it.

Every refusal is `{"error": {"code", "message"}}`. Requests with an `Idempotency-Key` can be repeated safely;
answers 429 and 503 say in `Retry-After` when to come back."""


def build(service: Service) -> FastAPI:
    """The application in front of `service`; see `serve.api.create_api`."""
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # a bad form is told to who sent it
    show_audit()
    context = Context(service)

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        yield
        context.close()

    api = FastAPI(
        title="SegTalker", version="1", description=_ABOUT, docs_url=None, redoc_url=None, lifespan=lifespan
    )
    api.state.context = context
    api.state.routers = [
        dub_routes(context),
        picture_routes(context),
        retouch_routes(context),
        about_routes(context),
        page_routes(),
    ]
    for router in api.state.routers:
        api.include_router(router)
    add_error_handlers(api)
    origins = service.config.api.cors_origins
    if origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Range"],
            expose_headers=["Content-Range", "Retry-After", "X-Job-Id"],
        )
    api.add_middleware(Guard)
    api.openapi = lambda: _openapi(api)  # type: ignore[method-assign]
    return api


def _openapi(api: FastAPI) -> dict[str, Any]:
    """The document, with the schemas of bodies that are read by hand; made once."""
    if api.openapi_schema is None:
        document = get_openapi(
            title=api.title, version=api.version, description=api.description, routes=api.routes
        )
        schemas = document["components"]["schemas"]
        for model in (*BODY_MODELS, PictureOptions):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas[model.__name__] = schema
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        api.openapi_schema = document
    return api.openapi_schema
