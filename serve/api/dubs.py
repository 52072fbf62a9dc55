"""Routes of dubs and edits: send one, watch it, fetch what came of it, take it back."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response

from serve.api.accept import DUB, EDIT, JobKind, accept_job
from serve.api.answers import binary, errors, event_stream, multipart
from serve.api.auth import Caller
from serve.api.context import Context, job_body
from serve.api.edits import MAX_REFERENCES
from serve.api.errors import ApiError
from serve.api.events import answer_events
from serve.api.files import StoredFile, answer_file, answer_whole
from serve.api.limits import check_open_answers
from serve.api.options import DubOptions, EditOptions
from serve.api.schemas import EXAMPLE_ID, JOB_ID, Accepted, DubRequest, EditRequest, JobBody, JobList, Links
from serve.api.threads import in_thread
from serve.api.uploads import REFERENCE
from serve.jobs import JobNotFound, JobOpen, JobView

JobId = Annotated[
    str, Path(pattern=JOB_ID, examples=[EXAMPLE_ID], description="As `POST /v1/dubs` answered.")
]
KeepEnded = Annotated[bool, Query(description="Only cancel: an ended job is shown and stays as it is.")]
_RESULTS = {
    "video": ("video/mp4", "{}.mp4"),
    "report": ("application/json", "{}.json"),
    "maps": ("video/mp4", "{}.maps.mp4"),
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key again means the same job, so a request can be repeated safely.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
    "example": "take-7-german",
}
_RANGE = {
    "name": "Range",
    "in": "header",
    "required": False,
    "description": "One range of bytes.",
    "schema": {"type": "string"},
    "example": "bytes=0-1023",
}
_REPORT = {"frames": {"synthesized": 88, "no_face": 12}, "num_frames": 100, "duration_s": 4.0}
REFERENCES = {
    REFERENCE: (
        "A picture or video of a face that lends its texture, known to the edits by its file name.",
        MAX_REFERENCES,
    )
}
_PHOTO = "The person to be changed, with options.speaker = photo."
_CALLBACK = "Told by POST when the job has ended; https, of a host that the operator allows."
_EXAMPLES = {
    "dub": {"speaker": "largest", "edits": "blink=0.2/s,lip=red@0.7"},
    "edit": {"edits": "hair=ref.jpg@0.7"},
}


def _request(kind: str, files: dict[str, str], body: str) -> dict[str, Any]:
    """The body of a request for a job, as a form of files or as JSON; kind: `dub` or `edit`."""
    fields = {"options": f"{kind.capitalize()}Options as JSON.", "callback_url": _CALLBACK}
    required = (*files, "options") if kind == "edit" else tuple(files)
    media = {"video": "video/*", "speech": "audio/*"}
    content = {
        "multipart/form-data": {
            "schema": multipart({**files, "photo": _PHOTO}, fields, required, REFERENCES),
            "encoding": {name: {"contentType": media[name]} for name in files},
            "example": {"options": json.dumps(_EXAMPLES[kind])},
        },
        "application/json": {"schema": {"$ref": f"#/components/schemas/{body}"}},
    }
    return {"parameters": [_KEY], "requestBody": {"required": True, "content": content}}


_REQUEST = _request(
    "dub",
    {"video": "The film, or a portrait.", "speech": "What is to be said; any sound or film."},
    "DubRequest",
)
_EDIT_REQUEST = _request("edit", {"video": "The film; it keeps its sound and its mouth."}, "EditRequest")
BODY_MODELS = (DubRequest, DubOptions, EditRequest, EditOptions)
"""Documents that only requests and the text of a part name; the application adds them to its schemas."""


def dub_routes(context: Context) -> APIRouter:
    """All routes under /v1/dubs."""
    caller_of = context.identify()
    routes = APIRouter(prefix="/v1", tags=["dubs"])
    _add_sending(routes, context, caller_of)
    _add_watching(routes, context, caller_of)
    _add_fetching(routes, context, caller_of)
    return routes


def _add_sending(routes: APIRouter, context: Context, caller_of: Callable[..., Any]) -> None:
    accepting = errors(400, 408, 409, 413, 415)

    @routes.post(
        "/dubs",
        status_code=202,
        summary="Dub a video",
        responses={**accepting, 202: {"description": "Accepted, now or before with the same key"}},
        openapi_extra=_REQUEST,
    )
    async def send(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Accepted:
        """Files as multipart, or where they are as JSON. The answer comes once no crash can lose the job."""
        return await _accepted(context, request, caller, DUB)

    @routes.post(
        "/edit",
        status_code=202,
        summary="Edit a face in a video, without speech",
        responses={**accepting, 202: {"description": "Accepted, now or before with the same key"}},
        openapi_extra=_EDIT_REQUEST,
    )
    async def edit(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Accepted:
        """A job like any other: watch and fetch it under /v1/dubs. Pictures go to /v1/edit:picture."""
        return await _accepted(context, request, caller, EDIT)

    @routes.post(
        "/dubs:stream",
        summary="Dub a video and watch it while it is made",
        response_class=Response,
        responses={**accepting, 200: binary("Fragmented MP4", "video/mp4", X_Job_Id="The job")},
        openapi_extra=_REQUEST,
    )
    async def send_and_stream(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """As `POST /v1/dubs`, answered with the film. Who leaves before its end cancels the job."""
        check_open_answers(context.answering, caller.name)
        view = await accept_job(context, request, caller, DUB)

        async def cancel() -> None:
            await _cancel(context, caller, view.id, cause="client gone")

        return await _stream(context, request, view, caller, cancel)


async def _accepted(context: Context, request: Request, caller: Caller, kind: JobKind) -> Accepted:
    view = await accept_job(context, request, caller, kind)
    return Accepted(id=view.id, state=view.state, links=Links.of(view.id))


def _add_watching(routes: APIRouter, context: Context, caller_of: Callable[..., Any]) -> None:
    @routes.get("/dubs", summary="Your newest 50 jobs", responses=errors())
    async def jobs(caller: Annotated[Caller, Depends(caller_of)]) -> JobList:
        """The newest first; each without its report."""
        views = await in_thread(context.store.newest, caller.name)
        return JobList(jobs=[job_body(view, with_report=False) for view in views])

    @routes.get("/dubs/{job}", summary="How a job stands", responses=errors(404))
    async def show(job: JobId, caller: Annotated[Caller, Depends(caller_of)]) -> JobBody:
        """State, progress of each stage, and the report once it is done."""
        return job_body(await context.own_job(job, caller))

    @routes.get(
        "/dubs/{job}/events",
        summary="Follow a job",
        response_class=Response,
        responses={
            **errors(404),
            200: event_stream("`progress` with a JobBody; `end` with id and state", "progress", "end"),
        },
    )
    async def events(job: JobId, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """Server-sent events whenever the job has changed, until it has ended."""
        check_open_answers(context.answering, caller.name)
        first = job_body(await context.own_job(job, caller))

        async def look() -> JobBody | None:
            try:
                return job_body(await context.own_job(job, caller))
            except ApiError:
                return None

        place = context.answering.take(caller.name)
        return answer_events(first, look, context.service.config.jobs.poll_s, place)

    @routes.delete(
        "/dubs/{job}",
        summary="Cancel an open job, or delete an ended one",
        responses={
            **errors(404, 409),
            200: {"model": JobBody, "description": "Cancelled; or it has ended by itself, and stays"},
            204: {"description": "Deleted with all its files"},
        },
    )
    async def take_back(
        job: JobId, caller: Annotated[Caller, Depends(caller_of)], keep_ended: KeepEnded = False
    ) -> Any:
        """A driver that works on it stops within seconds; if it ends meanwhile by itself, it stays."""
        view = await context.own_job(job, caller)
        if view.is_open:
            return job_body(await _cancel(context, caller, job))
        if keep_ended:
            return job_body(view)
        try:
            await in_thread(context.store.delete, job)
            context.audit.write("deleted", caller, job, state=view.state)
        except JobNotFound:
            pass  # somebody was faster
        except JobOpen:
            raise ApiError(409, "not_ended", "The job was sent again meanwhile; cancel it first.") from None
        return Response(status_code=204)


def _add_fetching(routes: APIRouter, context: Context, caller_of: Callable[..., Any]) -> None:
    async def find(job: str, caller: Caller, kind: str) -> StoredFile:
        view = await context.own_job(job, caller)
        found = await in_thread(context.store.open_result, job, kind)
        if found is None:
            raise _no_result(view, kind)
        media_type, file_name = _RESULTS[kind]
        return StoredFile(*found, media_type, file_name.format(job))

    def add_video(kind: str, summary: str) -> None:
        @routes.get(
            f"/dubs/{{job}}/{kind}",
            name=kind,
            summary=summary,
            response_class=Response,
            responses={
                **errors(404, 409, 416),
                200: binary("All of it", "video/mp4", ETag="Of the content", Accept_Ranges="bytes"),
                206: binary("The range", "video/mp4", Content_Range="bytes FIRST-LAST/SIZE"),
                304: {"description": "As the caller has it (If-None-Match)"},
            },
            openapi_extra={"parameters": [_RANGE]},
        )
        async def fetch(
            request: Request, job: JobId, caller: Annotated[Caller, Depends(caller_of)]
        ) -> Response:
            return answer_file(request, context.store, await find(job, caller, kind))

    add_video("video", "The finished video")
    add_video("maps", "Source, region map, talking map and result side by side (options.save_maps)")

    @routes.get(
        "/dubs/{job}/report",
        summary="What was done to every frame, how long it took, and with which weights",
        response_class=Response,
        responses={
            **errors(404, 409),
            200: {
                "description": "The report",
                "content": {"application/json": {"schema": {"type": "object"}, "example": _REPORT}},
            },
        },
    )
    async def report(job: JobId, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """As `segtalker dub` writes it beside its output."""
        return answer_whole(context.store, await find(job, caller, "report"))

    @routes.get(
        "/dubs/{job}/stream",
        summary="Watch a job while it is made",
        response_class=Response,
        responses={
            **errors(404, 409),
            200: binary("Fragmented MP4, or the finished video", "video/mp4", X_Job_Id="The job"),
        },
    )
    async def stream(request: Request, job: JobId, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """The film from its beginning; leaving does not cancel the job."""
        check_open_answers(context.answering, caller.name)
        view = await context.own_job(job, caller)
        return await _stream(context, request, view, caller, None)


async def _cancel(context: Context, caller: Caller, job: str, **facts: str) -> JobView:
    """End an open job; one that has ended meanwhile stays as it is. `ApiError` 404: it was deleted."""
    try:
        view = await in_thread(context.store.cancel, job)
    except JobNotFound:
        raise ApiError(404, "not_found", "The job was deleted meanwhile; GET /v1/dubs lists yours.") from None
    if view.state == "cancelled":
        context.audit.write("cancelled", caller, job, **facts)
    else:
        context.audit.ended(caller, job, view.state)
    return view


async def _stream(
    context: Context, request: Request, view: JobView, caller: Caller, on_gone: Any
) -> Response:
    """The film as it is made; of a job that is done, the finished one."""
    finished = await in_thread(context.store.open_result, view.id, "video")
    if finished is not None:
        answer = answer_whole(context.store, StoredFile(*finished, "video/mp4", f"{view.id}.mp4"))
        answer.headers["X-Job-Id"] = view.id
        return answer
    with ExitStack() as cleanup:
        cleanup.enter_context(context.answering.take(caller.name))
        return await context.streams.answer(request, view.id, on_gone, cleanup.pop_all())


def _no_result(view: JobView, kind: str) -> ApiError:
    if view.is_open:
        return ApiError(409, "not_ready", f"The job is {view.state}; its {kind} is there once it is done.")
    if view.state == "done":
        return ApiError(404, "not_found", f"The job has no {kind}; its options did not ask for one.")
    cause = f" ({view.error})" if view.error else ""
    return ApiError(409, "no_result", f"The job is {view.state}{cause}; send it again.")
