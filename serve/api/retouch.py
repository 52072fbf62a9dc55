"""The route of single pictures that are edited: an answer at once, as the page's preview needs it."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from segtalker.dub_config import DubConfig
from segtalker.errors import SegTalkerError, StorageError
from serve.api.accept import checked_config, kind_of, read_wanted, told_name
from serve.api.answers import binary, errors, multipart
from serve.api.auth import Caller
from serve.api.bodies import Room
from serve.api.context import Context
from serve.api.dubs import REFERENCES
from serve.api.errors import ApiError
from serve.api.options import PictureOptions
from serve.api.pictures import encode_png
from serve.api.schemas import EditedBody
from serve.api.service import Busy
from serve.api.threads import all_of, in_thread
from serve.api.uploads import REFERENCE, Upload, read_form

if TYPE_CHECKING:
    from segtalker.retouch import Retouched

_FORM_BYTES = 256 << 10
_FILES = {
    "image": "A picture with a face.",
    "photo": "The person to be changed, with options.speaker = photo.",
}
_OPTIONS = {"options": "PictureOptions as JSON."}
_EXAMPLE = {"options": json.dumps({"edits": "lip=red@0.7,frown=0.5"})}


def retouch_routes(context: Context) -> APIRouter:
    """/v1/edit:picture."""
    caller_of = context.identify()
    routes = APIRouter(prefix="/v1", tags=["pictures"])
    schema = multipart(_FILES, _OPTIONS, ("image", "options"), REFERENCES)
    body: dict[str, Any] = {"multipart/form-data": {"schema": schema, "example": _EXAMPLE}}
    answer = binary("The picture; as JSON, with the map of the face", "image/png")
    answer["content"]["application/json"] = {"schema": {"$ref": "#/components/schemas/EditedBody"}}

    @routes.post(
        "/edit:picture",
        summary="Edit a face in a picture",
        response_class=Response,
        responses={**errors(400, 408, 413, 415), 200: {**answer, "model": EditedBody}},
        openapi_extra={"requestBody": {"required": True, "content": body}},
    )
    async def edit(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """Every edit at its full, and no blinks. A PNG; with `Accept: application/json` an EditedBody."""
        with context.scratch.folder() as folder:
            cfg, files = await _read(context, request, folder)
            with _told(files):
                edited = await context.service.pictures.edit(cfg, files["image"].path)
        if "application/json" in request.headers.get("accept", ""):
            told = await in_thread(lambda: _body(edited).model_dump_json())
            return Response(told, media_type="application/json")
        return Response(await in_thread(encode_png, edited.image[..., ::-1]), media_type="image/png")

    return routes


@contextmanager
def _told(files: Mapping[str, Upload]) -> Iterator[None]:
    """Say what is wrong with a picture in the words of who sent it."""
    try:
        yield
    except (Busy, StorageError):
        raise
    except SegTalkerError as error:
        message = str(error)
        for upload in files.values():
            message = message.replace(str(upload.path), upload.file_name)
        raise ApiError(422, "unusable_input", message) from None


async def _read(context: Context, request: Request, folder: Path) -> tuple[DubConfig, Mapping[str, Upload]]:
    """The configuration that the request asks for, and its files.

    Every picture has been decoded in a process of its own and written anew: what is read here is ours.
    """
    room = Room(int(context.limits.picture_mb * 1e6), _FORM_BYTES)
    form = await read_form(request, context.limits, folder, (*_FILES, REFERENCE), tuple(_OPTIONS), room)
    wanted = read_wanted(form, ("image",), PictureOptions)
    cfg = checked_config(context, wanted)
    files = wanted.files.items()
    looks = (
        context.looker.look(file.path, kind_of(name, file, "picture"), told_name(name, file))
        for name, file in files
    )
    for upload, seen in zip(wanted.files.values(), await all_of(*looks), strict=True):
        if seen.pixels is not None:
            await in_thread(_write, upload.path, seen.pixels)
    return cfg, wanted.files


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    """Replace a file by a PNG of RGB [H, W, 3], fast rather than small."""
    written, data = cv2.imencode(
        ".png", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_PNG_COMPRESSION, 1]
    )
    assert written
    path.write_bytes(data.tobytes())


def _body(edited: "Retouched") -> EditedBody:
    height, width = edited.image.shape[:2]
    return EditedBody(
        width=width,
        height=height,
        picture=base64.b64encode(encode_png(edited.image[..., ::-1])).decode(),
        crop_from_frame=np.asarray(edited.crop_from_frame, float).tolist(),
        region_map=base64.b64encode(encode_png(edited.region_map)).decode(),
    )
