"""Edits in requests: short forms and lists, references as parts or addresses, jobs and pictures."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from segtalker.editing.recipe import Edit
from serve.api.edits import read_edits
from serve.api.options import DubOptions, dub_config
from serve.config import InputsConfig
from serve.jobs import JobRequest
from tests.serve.api.conftest import Api

LIPS = {"edit": "recolour", "region": "lip", "colour": "red", "amount": 0.7}


def post(api: Api, path: str, edits: Any, files: list[tuple[str, Any]], **more: Any) -> Any:
    """Send a form with edits; more: other options."""
    data = {"options": json.dumps({"edits": edits, **more})}
    return asyncio.run(api.client.post(path, files=files, data=data))


@pytest.fixture
def clip(parts) -> list[tuple[str, Any]]:
    return list(parts().items())


@pytest.fixture
def film(parts) -> list[tuple[str, Any]]:
    return [("video", parts()["video"])]


@pytest.fixture
def photo(parts) -> bytes:
    return parts(photo=True)["photo"][1]


def lend(name: str, data: bytes) -> tuple[str, Any]:
    return "reference", (name, data, "image/png")


def stored(api: Api, answer: Any) -> JobRequest:
    assert answer.status_code == 202, answer.text
    claim = api.service.store.claim(answer.json()["id"], "a test")
    assert claim is not None
    return claim.request


@pytest.mark.parametrize("edits", ["lip=red@0.7", [LIPS]], ids=["short", "list"])
def test_short_forms_and_lists_are_stored_as_the_same_edits(api, clip, edits):
    assert stored(api, post(api, "/v1/dubs", edits, clip)).options["edits"] == [LIPS]


def test_a_reference_is_found_by_its_file_name_and_kept_with_the_job(api, clip, photo, tmp_path):
    files = [*clip, lend("C:\\looks\\unused name.png", photo), lend("b.png", photo)]
    answer = post(api, "/v1/dubs", "hair=unused name.png@0.7,skin=b.png,lip=b.png@0.5", files)
    request = stored(api, answer)
    assert [edit["reference"] for edit in request.options["edits"]] == [
        "reference-1", "reference-2", "reference-2",
    ]  # fmt: skip
    assert {name: item["file_name"] for name, item in request.inputs.items()} == {
        "video": "talk.mp4",
        "speech": "speech.wav",
        "reference-1": "unused name.png",
        "reference-2": "b.png",
    }
    claim = api.service.store.claim(request.id, "another")
    assert claim is None, "the first one holds it"
    places = {name: tmp_path / name for name in request.inputs}
    cfg = dub_config(api.service.config.dub, request.options, places)
    assert [edit.reference for edit in cfg.edits][:2] == [places["reference-1"], places["reference-2"]]


def test_the_same_edits_in_other_words_are_the_same_request(api, clip, photo):
    key = {"Idempotency-Key": "take-7"}

    def send(edits: str, name: str, data: bytes = photo) -> Any:
        files = [*clip, lend(name, data)]
        form = {"options": json.dumps({"edits": edits})}
        return asyncio.run(api.client.post("/v1/dubs", files=files, data=form, headers=key))

    first, again = send("hair=a.png", "a.png"), send("hair=b.png", "b.png")
    assert first.json()["id"] == again.json()["id"]
    assert send("hair=a.png", "a.png", photo + b" ").status_code == 409


@pytest.mark.parametrize(
    ("edits", "names", "code", "says"),
    [
        ("hair=ref.jpg", ["other.jpg"], "missing_part", "'ref.jpg' was not sent"),
        ("hair=/etc/hair.jpg", [], "missing_part", "'/etc/hair.jpg' was not sent"),
        ("hair=s3://bucket/hair.jpg", [], "missing_part", "was not sent"),
        ("lip=red", ["ref.jpg"], "invalid_request", "No edit names the reference 'ref.jpg'"),
        ("hair=a.jpg", ["a.jpg", "a.jpg"], "repeated_part", "one file name"),
        ("stern.yaml", [], "invalid_request", "a recipe's file cannot be named here"),
        ("lip=rde", [], "invalid_request", "did you mean 'red'"),
        ("frown=2", [], "invalid_request", "amount 2 is outside 0..1"),
        ([LIPS, LIPS], [], "invalid_request", "are both recolour of lip"),
        ([{"edit": "fronw"}], [], "invalid_request", "did you mean 'frown'"),
        ([{"edit": "frown", "amount": 10**400}], [], "invalid_request", "no number that makes sense"),
        ([{"edit": "frown", "span": [[[0]]]}], [], "invalid_request", "expected a text, a number"),
        ([{"edit": "blink", "times": [0.0] * 2000}], [], "invalid_request", "more than 1000 values"),
        ([{"edit": "texture", "region": "lip", "reference": f"{i}.png"} for i in range(9)], [],
         "invalid_request", "more than 8 files"),
        ("x" * 5000, [], "invalid_request", "more than 4000 characters"),
        (7, [], "invalid_request", "write a list of edits"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_edits_is_said_in_one_sentence(api, clip, photo, edits, names, code, says):
    answer = post(api, "/v1/dubs", edits, [*clip, *(lend(name, photo) for name in names)])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, code) and says in error["message"], error
    assert "\n" not in error["message"] and len(error["message"]) < 500
    assert api.left_over() == []


def test_a_number_that_is_none_is_refused():
    for number in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="no number that makes sense"):
            read_edits([{"edit": "blink", "times": [number]}])


def test_a_reference_is_looked_at_like_every_file(api, clip):
    answer = post(api, "/v1/dubs", "hair=ref.jpg", [*clip, lend("ref.jpg", b"no picture" * 50)])
    error = answer.json()["error"]
    assert answer.status_code == 422 and error["code"] == "unusable_file"
    assert error["message"].startswith("reference 'ref.jpg': ")


def test_what_edits_have_fitted_is_looked_at_as_numbers(api, clip):
    answer = post(api, "/v1/dubs", "hair=x.safetensors", [*clip, lend("x.safetensors", b"no numbers" * 50)])
    assert "no .safetensors file" in answer.json()["error"]["message"]


def test_references_are_counted_with_the_other_files_while_they_arrive(make_api, clip):
    from serve.config import LimitsConfig

    api = make_api(limits=LimitsConfig(upload_mb=0.05))
    answer = post(api, "/v1/dubs", "hair=a.png", [*clip, lend("a.png", bytes(60_000))])
    assert answer.status_code == 413


def test_addresses_of_references_meet_the_lists_of_those_of_videos(make_api):
    api = make_api(
        inputs=InputsConfig(s3_prefixes=("s3://studio/looks",), https_hosts=("media.example.org",))
    )

    def send(reference: str) -> Any:
        body = {
            "video": "s3://studio/looks/talk.mp4",
            "options": {"edits": [{"edit": "texture", "region": "hair", "reference": reference}]},
        }
        return asyncio.run(api.client.post("/v1/edit", json=body)).json()["error"]

    for refused in (
        "s3://other/h.jpg",
        "https://10.0.0.1/h.jpg",
        "/etc/passwd",
        "file:///etc/passwd",
        "h.jpg",
    ):
        error = send(refused)
        assert error["code"] == "input_not_allowed" and error["message"].startswith("reference-1: "), error


def test_an_edit_is_a_job_without_speech(api, film):
    request = stored(api, post(api, "/v1/edit", "lip=red@0.7", film, crf=20))
    assert set(request.inputs) == {"video"} and request.options == {"crf": 20, "edits": [LIPS]}


@pytest.mark.parametrize(
    ("options", "says"),
    [({}, "edits"), ({"edits": ""}, "edits"), ({"edits": "frown", "sync_mode": "loop"}, "sync_mode")],
)
def test_an_edit_needs_edits_and_has_no_choices_about_speech(api, film, options, says):
    form = {"options": json.dumps(options)}
    answer = asyncio.run(api.client.post("/v1/edit", files=film, data=form))
    assert answer.status_code == 422 and says in answer.json()["error"]["message"]


def test_a_picture_is_no_film_to_be_edited(api, photo):
    answer = post(api, "/v1/edit", "frown", [("video", ("p.png", photo, "image/png"))])
    assert answer.status_code == 422 and "/v1/edit:picture" in answer.json()["error"]["message"]


def test_a_picture_is_answered_at_once_with_its_references(api, photo):
    files = [("image", ("p.png", photo, "image/png")), lend("r.png", photo)]
    answer = post(api, "/v1/edit:picture", "hair=r.png@0.5,frown", files, speaker="point:3,4")
    assert answer.headers["content-type"] == "image/png", answer.text
    before, after = (cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in (photo, answer.content))
    assert np.array_equal(after, 255 - before)
    cfg = api.service.pictures.asked
    assert cfg.speaker == "point:3,4" and cfg.edits[1] == Edit(edit="frown")
    assert api.left_over() == [] and not list(api.service.store.open_ids())


def test_a_picture_comes_with_the_map_of_its_face_where_json_is_asked_for(api, photo):
    form = {"options": json.dumps({"edits": "frown"})}
    asked = api.client.post(
        "/v1/edit:picture",
        files=[("image", ("p.png", photo, "image/png"))],
        data=form,
        headers={"Accept": "application/json"},
    )
    told = asyncio.run(asked).json()
    assert (told["width"], told["height"]) == (60, 40) and told["crop_from_frame"] == [[1, 0, 0], [0, 1, 0]]
    region_map = np.array(Image.open(io.BytesIO(base64.b64decode(told["region_map"]))))
    assert region_map.shape == (16, 16) and region_map.max() == 11
    assert np.array(Image.open(io.BytesIO(base64.b64decode(told["picture"])))).shape == (40, 60, 3)


def test_a_picture_without_a_face_is_told_of_by_its_name(api):
    _, black = cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))
    answer = post(
        api, "/v1/edit:picture", "frown", [("image", ("my face.png", black.tobytes(), "image/png"))]
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "unusable_input")
    assert error["message"] == "my face.png: no face was found. Take another one."


def test_pictures_are_asked_again_when_all_places_are_taken(api, photo):
    api.service.pictures.busy = True
    answer = post(api, "/v1/edit:picture", "frown", [("image", ("p.png", photo, "image/png"))])
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1


def test_what_a_picture_lends_to_a_picture_must_be_a_picture(api, photo, parts):
    files = [("image", ("p.png", photo, "image/png")), ("reference", parts()["video"])]
    answer = post(api, "/v1/edit:picture", "hair=talk.mp4", files)
    assert answer.status_code == 422 and "reference 'talk.mp4'" in answer.json()["error"]["message"]


def test_a_job_that_was_stored_before_there_were_edits_is_still_read(api):
    options = {"speaker": "largest", "crf": 20}
    assert DubOptions.model_validate(options).chosen() == options
    assert dub_config(api.service.config.dub, options).edits == ()


def test_the_document_knows_every_kind_of_edit_and_how_references_are_sent(api):
    from segtalker.editing.recipe import KINDS

    document = asyncio.run(api.client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    choices = schemas["DubOptions"]["properties"]["edits"]["anyOf"][0]["anyOf"]
    assert choices[0]["items"]["properties"]["edit"]["enum"] == list(KINDS)
    for path in ("/v1/dubs", "/v1/edit", "/v1/edit:picture"):
        form = document["paths"][path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert form["properties"]["reference"]["type"] == "array"
    assert {"EditOptions", "EditRequest", "PictureOptions", "EditedBody"} <= set(schemas)
