"""Routes of single pictures: faces and their region maps, style codes, and a crop from map and codes."""

import base64
import binascii
from typing import Annotated, Any

import cv2
import numpy as np
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from pydantic import ValidationError

from segtalker.regions import NUM_REGIONS
from serve.api.answers import binary, errors, multipart
from serve.api.auth import Caller
from serve.api.bodies import Room
from serve.api.context import Context
from serve.api.errors import ApiError, validation_error
from serve.api.schemas import CodesBody, FaceBody, ParseBody
from serve.api.service import PictureFace
from serve.api.threads import in_thread
from serve.api.uploads import read_form

_MAX_CODES_BYTES = 4 << 20
"""JSON text of style codes; 12 x 18 x 512 numbers are 0.6 MB in base64."""
_PICTURE_ERRORS = errors(400, 408, 413, 415)


def picture_routes(context: Context) -> APIRouter:
    """/v1/parse, /v1/encode and /v1/render."""
    caller_of = context.identify()
    routes = APIRouter(prefix="/v1", tags=["pictures"])
    pictures = context.service.pictures

    @routes.post(
        "/parse",
        summary="Faces of a picture, with their region maps",
        responses=_PICTURE_ERRORS,
        openapi_extra=_body(multipart({"image": "A picture."}, {}, ("image",))),
    )
    async def parse(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> ParseBody:
        """From left to right; a picture without a face has none, which is no error."""
        image, _ = await _receive(context, request, "image")
        faces = await pictures.parse(image)
        bodies = await in_thread(lambda: [_face_body(face) for face in faces])
        return ParseBody(width=image.shape[1], height=image.shape[0], faces=bodies)

    @routes.post(
        "/encode",
        summary="Style codes of one face of a picture",
        responses=_PICTURE_ERRORS,
        openapi_extra=_body(
            multipart({"image": "A picture."}, {"face": "Index as of /v1/parse, 0 if left out."}, ("image",))
        ),
    )
    async def encode(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> CodesBody:
        """What each of the 12 regions looks like, for /v1/render."""
        image, fields = await _receive(context, request, "image", "face")
        face = fields.get("face") or "0"
        if not (face.isascii() and face.isdigit() and len(face) <= 4):
            raise ApiError(422, "invalid_request", "face: write a whole number from 0, as of /v1/parse.")
        return _codes_body(await pictures.encode(image, int(face)))

    @routes.post(
        "/render",
        summary="A face from a region map and style codes",
        response_class=Response,
        responses={**_PICTURE_ERRORS, 200: binary("The crop", "image/png")},
        openapi_extra=_body(
            multipart(
                {"map": "Grey 8-bit PNG, labels 0..11."}, {"codes": "JSON of /v1/encode."}, ("map", "codes")
            )
        ),
    )
    async def render(request: Request, caller: Annotated[Caller, Depends(caller_of)]) -> Response:
        """An edited map is drawn in the style of the face that the codes are of."""
        region_map, fields = await _receive(context, request, "map", "codes")
        if int(region_map.max(initial=0)) >= NUM_REGIONS:
            raise ApiError(422, "invalid_request", f"map: labels are 0..{NUM_REGIONS - 1}; mend the others.")
        codes = _read_codes(fields.get("codes", ""))
        image = await pictures.render(region_map, codes)
        return Response(await in_thread(encode_png, image[..., ::-1]), media_type="image/png")

    return routes


async def _receive(
    context: Context, request: Request, file: str, *fields: str
) -> tuple[NDArray[np.uint8], dict[str, str]]:
    """Pixels of the file part, decoded in a process of their own, and the text parts."""
    room = Room(int(context.limits.picture_mb * 1e6), _MAX_CODES_BYTES)
    with context.scratch.folder() as folder:
        form = await read_form(
            request, context.limits, folder, (file,), fields, room, max_field_bytes=_MAX_CODES_BYTES
        )
        if file not in form.files:
            raise ApiError(422, "missing_part", f"The part {file!r} is missing; send it as a file.")
        seen = await context.looker.look(form.files[file].path, "map" if file == "map" else "picture", file)
    assert seen.pixels is not None
    return seen.pixels, form.fields


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """PNG of grey [H, W] or BGR [H, W, 3]."""
    written, data = cv2.imencode(".png", np.ascontiguousarray(image))
    assert written
    return data.tobytes()


def _face_body(face: PictureFace) -> FaceBody:
    return FaceBody(
        box=[float(side) for side in face.box],
        score=face.score,
        yaw_deg=face.yaw_deg,
        crop_from_frame=np.asarray(face.crop_from_frame, float).tolist(),
        region_map=base64.b64encode(encode_png(face.region_map)).decode(),
    )


def _codes_body(codes: NDArray[np.float32]) -> CodesBody:
    data = np.ascontiguousarray(codes, "<f4").tobytes()
    return CodesBody(shape=list(codes.shape), codes=base64.b64encode(data).decode())


def _read_codes(text: str) -> NDArray[np.float32]:
    """Codes [12, L, D] from what /v1/encode answered."""
    try:
        body = CodesBody.model_validate_json(text)
        data = base64.b64decode(body.codes, validate=True)
    except ValidationError as error:
        raise validation_error(error, "codes") from None
    except (binascii.Error, ValueError):
        raise ApiError(422, "invalid_request", "codes.codes: not base64; send it as it came.") from None
    regions, layers, width = body.shape
    if regions != NUM_REGIONS or min(layers, width) < 1 or 4 * regions * layers * width != len(data):
        raise ApiError(
            422,
            "invalid_request",
            f"codes: {len(data)} bytes do not fill the shape {body.shape}; send both as they came.",
        )
    codes = np.frombuffer(data, "<f4").reshape(body.shape).astype(np.float32)
    if not np.isfinite(codes).all():
        raise ApiError(422, "invalid_request", "codes: a number is not finite; send them as they came.")
    return codes


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}
