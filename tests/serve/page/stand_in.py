"""A service that plays the HTTP contract without networks, so that tests can hold rare states still."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from segtalker.regions import Region
from serve.about import describe_edits
from serve.page import INDEX, PAGE_CSP, page_files

MAP_PX = 64
REPORT = {
    "num_frames": 100,
    "frame_rate": "25",
    "duration_s": 4.0,
    "speech_duration_s": 4.1,
    "frames": {"synthesized": 88, "no_face": 7, "profile": 5},
    "timings_s": {"sgi": 6.2, "faces": 1.9, "tsg": 1.1, "encode": 0.8, "decode": 0.3, "mux": 0.01},
    "warnings": ["the last 0.1 s of the speech were cut: the video is shorter; other sync modes keep it."],
    "versions": {"segtalker": "0.1.0"},
}


@dataclass
class StandIn:
    """What the stand-in shall do next; a test sets the fields while the page is open."""

    token: str | None = None
    faces: list[tuple[float, float, float, float]] = field(default_factory=lambda: [(0.3, 0.3, 0.7, 0.75)])
    """Boxes in shares of the picture."""
    stage: int = 0
    """How many stages of `STAGES` are under way."""
    state: str = "queued"
    cancelled_as: str = "cancelled"
    """The state that a job has after it was cancelled: another, where it has ended by itself before."""
    error: str | None = None
    events_work: bool = True
    cut_streams: int = 0
    """Streams of events that break off after their first event."""
    busy_answers: int = 0
    """Uploads that are answered with 503 before one is accepted."""
    busy_looks: int = 0
    """Frames that are answered with 503 before one is looked at."""
    result: bytes = b""
    uploads: list[dict[str, Any]] = field(default_factory=list)
    """Form fields (a file: its name) and idempotency key of each upload that came."""
    edits: dict[str, Any] | None = field(default_factory=describe_edits)
    """What the service says about edits; None: a service that has none."""
    previews: list[dict[str, Any]] = field(default_factory=list)
    """Options and references of each picture that was to be edited."""
    preview_waits_s: list[float] = field(default_factory=list)
    """How long the answers take, in turn; then no time."""
    preview_error: tuple[int, str] | None = None
    polls: int = 0
    streams: int = 0
    refusals: int = 0

    def view(self) -> dict[str, Any]:
        """The job as the API shows it."""
        return {
            "id": "jstandin",
            "state": self.state,
            "started": 1000.0,
            "ended": 1009.5 if self.state == "done" else None,
            "progress": STAGES[: self.stage],
            "eta_s": 12.0 if self.state == "running" else None,
            "error": self.error,
            "files": {"video": len(self.result), "report": 100},
        }

    def finish(self) -> None:
        """Let the job be done."""
        self.state, self.stage = "done", len(STAGES)


STAGES = [
    {"stage": "finding faces", "done": 100, "total": 100, "unit": "frame"},
    {"stage": "studying people", "done": 1, "total": 1, "unit": "track"},
    {"stage": "rendering", "done": 34, "total": 100, "unit": "frame"},
]


def stand_in_app(play: StandIn) -> Starlette:
    """The application around `play`."""

    def refused(request: Request) -> Response | None:
        if play.token and request.headers.get("authorization") != f"Bearer {play.token}":
            play.refusals += 1
            return _error(401, "unauthorized", "The token is missing or wrong; ask the operator for one.")
        return None

    async def page(request: Request) -> Response:
        name = request.path_params.get("name", INDEX)
        if name == "samples.json" and play.token:  # what needs no token comes after the refusal of what does
            while not play.refusals:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
        file = page_files().get(name)
        if file is None:
            return _error(404, "not_found", "There is no such file.")
        headers = {"Content-Security-Policy": PAGE_CSP, "ETag": file.etag}
        return Response(file.body, media_type=file.content_type, headers=headers)

    async def models(request: Request) -> Response:
        told = {"versions": {"segtalker": "0.1.0"}, **({"edits": play.edits} if play.edits else {})}
        return refused(request) or JSONResponse(told)

    async def parse(request: Request) -> Response:
        if (answer := refused(request)) is not None:
            return answer
        if play.busy_looks:
            play.busy_looks -= 1
            return _error(503, "busy", "All places are taken; try again.", {"Retry-After": "0"})
        async with request.form() as form:
            data = np.frombuffer(await form["image"].read(), np.uint8)  # type: ignore[union-attr]
        height, width = cv2.imdecode(data, cv2.IMREAD_COLOR).shape[:2]
        return JSONResponse(
            {"width": width, "height": height, "faces": [_face(box, width, height) for box in play.faces]}
        )

    async def edit(request: Request) -> Response:
        """A picture of one grey, which tells how many were asked for, and a map without a mouth."""
        async with request.form() as form:
            options = json.loads(form["options"])  # type: ignore[arg-type]
            data = np.frombuffer(await form["image"].read(), np.uint8)  # type: ignore[union-attr]
            names = [value.filename for value in form.getlist("reference")]  # type: ignore[union-attr]
        play.previews.append({**options, "references": names})
        number = len(play.previews)
        await asyncio.sleep(play.preview_waits_s.pop(0) if play.preview_waits_s else 0)
        if play.preview_error is not None:
            status, message = play.preview_error
            play.preview_error = None if status == 503 else play.preview_error
            return _error(status, "test", message, {"Retry-After": "1"} if status == 503 else None)
        height, width = cv2.imdecode(data, cv2.IMREAD_COLOR).shape[:2]
        picture = cv2.imencode(".png", np.full((height, width, 3), 10 * number, np.uint8))[1].tobytes()
        face = _face(play.faces[0], width, height)
        return JSONResponse(
            {
                "width": width,
                "height": height,
                "picture": base64.b64encode(picture).decode(),
                "crop_from_frame": face["crop_from_frame"],
                "region_map": base64.b64encode(_region_map(Region.LIP)).decode(),
            }
        )

    async def accept(request: Request) -> Response:
        if (answer := refused(request)) is not None:
            return answer
        async with request.form() as form:
            fields = {name: getattr(value, "filename", value) for name, value in form.items()}
            fields["references"] = [value.filename for value in form.getlist("reference")]  # type: ignore
        play.uploads.append({**fields, "key": request.headers.get("idempotency-key")})
        if len(play.uploads) <= play.busy_answers:
            return _error(503, "busy", "All places are taken; try again.", {"Retry-After": "1"})
        return JSONResponse({"id": "jstandin", "state": "queued", "links": {}}, 202)

    async def job(request: Request) -> Response:
        play.polls += 1
        if request.method == "DELETE":
            play.state = play.cancelled_as
        return refused(request) or JSONResponse(play.view())

    async def events(request: Request) -> Response:
        play.streams += 1
        if not play.events_work:
            return Response("a proxy that knows no streams", 502)
        return StreamingResponse(_events(play), media_type="text/event-stream")

    async def result(request: Request) -> Response:
        if request.path_params["file"] == "report":
            return refused(request) or JSONResponse(REPORT)
        return refused(request) or Response(play.result, media_type="video/mp4")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/page/{name:path}", page),
            Route("/v1/models", models),
            Route("/v1/parse", parse, methods=["POST"]),
            Route("/v1/edit:picture", edit, methods=["POST"]),
            Route("/v1/dubs", accept, methods=["POST"]),
            Route("/v1/dubs/jstandin", job, methods=["GET", "DELETE"]),
            Route("/v1/dubs/jstandin/events", events),
            Route("/v1/dubs/jstandin/{file}", result),
        ]
    )


async def _events(play: StandIn) -> AsyncIterator[str]:
    told = None
    while True:
        view = play.view()
        if view != told:
            told = view
            yield f"event: progress\ndata: {json.dumps(view)}\n\n"
        if view["state"] not in ("queued", "running"):
            yield "event: end\ndata: {}\n\n"
            return
        if play.streams <= play.cut_streams:
            return
        await asyncio.sleep(0.05)


def _face(shares: tuple[float, float, float, float], width: int, height: int) -> dict[str, Any]:
    left, top, right, bottom = np.array(shares) * (width, height, width, height)
    scale = MAP_PX / max(right - left, bottom - top) / 1.3
    middle = MAP_PX / 2 - scale * np.array([left + right, top + bottom]) / 2
    return {
        "box": [left, top, right, bottom],
        "score": 0.98,
        "yaw_deg": 4.0,
        "crop_from_frame": [[scale, 0, middle[0]], [0, scale, middle[1]]],
        "region_map": base64.b64encode(_region_map()).decode(),
    }


def _region_map(region: Region = Region.SKIN) -> bytes:
    """A grey PNG with all twelve labels: an oval of a region on hair, and a stripe of the others."""
    labels = np.zeros((MAP_PX, MAP_PX), np.uint8)
    cv2.ellipse(labels, (32, 30), (24, 28), 0, 0, 360, int(Region.HAIR), -1)
    cv2.ellipse(labels, (32, 34), (18, 24), 0, 0, 360, int(region), -1)
    for region in Region:
        labels[60:, 5 * region : 5 * region + 5] = region
    return cv2.imencode(".png", labels)[1].tobytes()


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers=headers)
