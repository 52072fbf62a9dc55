"""Error answers as /openapi.json documents them: each status with an example of its codes."""

from typing import Any

from serve.api.schemas import ErrorBody

_EXAMPLES = {
    400: ("malformed_multipart", "The multipart body cannot be read (the closing boundary is missing)."),
    401: ("unauthorized", "Send the header `Authorization: Bearer TOKEN`; the operator gives out tokens."),
    403: ("local_only", "Without api.tokens_file only this machine is served; set it up first."),
    404: ("not_found", "There is no such job, or it is not yours; GET /v1/dubs lists yours."),
    408: ("too_slow", "The request paused for more than 20 s or took longer than 300 s; send it again."),
    409: ("not_ready", "The job is running; its video is there once it is done."),
    413: ("too_large", "The request has 700.2 MB, and the limit is 500 MB of files; shorten them."),
    415: ("unsupported_media_type", "Send multipart/form-data, as `curl -F file=@NAME` does."),
    416: ("range_not_satisfiable", "The file has 1000 bytes; ask for a range inside it."),
    422: ("invalid_request", "options.sped: unknown key; leave it out or mend its name."),
    429: ("too_many_requests", "More than 600 requests in a minute; wait as Retry-After says."),
    500: ("internal_error", "Something went wrong inside the service; try again."),
    503: ("storage_unavailable", "The job storage cannot be reached; try again."),
}
_HEADERS = {
    401: {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}},
    416: {"Content-Range": {"description": "bytes */SIZE", "schema": {"type": "string"}}},
    429: {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
    503: {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}},
}
ALWAYS = (401, 403, 422, 429, 500, 503)
"""Any request of `/v1` may meet these."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route: these statuses, and those that any may have."""
    return {status: _document(status) for status in sorted({*statuses, *ALWAYS})}


def binary(description: str, *media_types: str, **headers: str) -> dict[str, Any]:
    """An answer of bytes."""
    schema = {"type": "string", "format": "binary"}
    shown = {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}}
        for name, text in headers.items()
    }
    return {
        "description": description,
        "content": {media: {"schema": schema} for media in media_types},
        "headers": shown,
    }


def event_stream(description: str, *events: str) -> dict[str, Any]:
    """An answer of server-sent events with these names; the schema is that of one of them."""
    schema = {
        "type": "object",
        "properties": {
            "event": {"enum": list(events)},
            "data": {"type": "string", "contentMediaType": "application/json"},
            "id": {"type": "string"},
        },
        "required": ["event", "data"],
    }
    return {"description": description, "content": {"text/event-stream": {"schema": schema}}}


def multipart(
    files: dict[str, str],
    fields: dict[str, str],
    required: tuple[str, ...],
    lists: dict[str, tuple[str, int]] | None = None,
) -> dict[str, Any]:
    """Schema of a multipart body: name -> description of its files and of its text fields.

    lists: files that may come several times, each with its description and how many may come.
    """
    properties: dict[str, Any] = {
        name: {"type": "string", "format": "binary", "description": text} for name, text in files.items()
    }
    properties |= {name: {"type": "string", "description": text} for name, text in fields.items()}
    for name, (text, most) in (lists or {}).items():
        items = {"type": "string", "format": "binary"}
        properties[name] = {"type": "array", "items": items, "maxItems": most, "description": text}
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _document(status: int) -> dict[str, Any]:
    code, message = _EXAMPLES[status]
    example = {"error": {"code": code, "message": message}}
    document: dict[str, Any] = {
        "model": ErrorBody,
        "description": code.replace("_", " ").capitalize(),
        "content": {"application/json": {"example": example}},
    }
    if status in _HEADERS:
        document["headers"] = _HEADERS[status]
    return document
