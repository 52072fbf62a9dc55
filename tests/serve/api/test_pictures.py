"""Single pictures: what is sent, what comes back, and what is refused."""

from __future__ import annotations

import asyncio
import base64
import json

import cv2
import numpy as np
import pytest

from serve.config import LimitsConfig
from tests.serve.api.service import SIDE


def png(image):
    return cv2.imencode(".png", image)[1].tobytes()


def post(api, path, files, data=None):
    return asyncio.run(api.client.post(path, files=files, data=data))


def codes(shape=(12, 2, 4), dtype="float32", data=None):
    data = np.zeros(shape, "<f4").tobytes() if data is None else data
    return json.dumps({"shape": shape, "dtype": dtype, "codes": base64.b64encode(data).decode()})


MAP = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE) % 12


def test_a_picture_is_parsed_into_faces_with_their_maps(api, media):
    answer = post(api, "/v1/parse", {"image": (media / "photo.png").read_bytes()})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["width"], body["height"]) == (60, 40)
    (face,) = body["faces"]
    assert face["box"] == [1, 2, 3, 4] and face["crop_from_frame"] == [[1, 0, 0], [0, 1, 0]]
    labels = cv2.imdecode(np.frombuffer(base64.b64decode(face["region_map"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(labels, MAP) and api.left_over() == []


def test_codes_of_a_face_go_back_into_a_render(api, media):
    encoded = post(api, "/v1/encode", {"image": (media / "photo.png").read_bytes()}, {"face": "0"})
    assert encoded.status_code == 200 and encoded.json()["shape"] == [12, 2, 4]
    values = np.frombuffer(base64.b64decode(encoded.json()["codes"]), "<f4")
    assert np.allclose(values, 120, atol=1)
    drawn = post(api, "/v1/render", {"map": png(MAP)}, {"codes": encoded.text})
    assert drawn.status_code == 200 and drawn.headers["Content-Type"] == "image/png"
    image = cv2.imdecode(np.frombuffer(drawn.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(image, np.repeat(MAP[..., None] * 20, 3, axis=2))


def test_the_colours_of_a_render_are_rgb(api, monkeypatch):
    async def red(region_map, codes):
        return np.full((4, 4, 3), (255, 0, 0), np.uint8)

    monkeypatch.setattr(api.service.pictures, "render", red)
    drawn = post(api, "/v1/render", {"map": png(MAP)}, {"codes": codes()})
    bgr = cv2.imdecode(np.frombuffer(drawn.content, np.uint8), cv2.IMREAD_COLOR)
    assert bgr[0, 0].tolist() == [0, 0, 255]


def test_a_face_that_is_not_there_is_told(api, media):
    answer = post(api, "/v1/encode", {"image": (media / "photo.png").read_bytes()}, {"face": "3"})
    assert answer.status_code == 422 and "no face 3" in answer.json()["error"]["message"]


@pytest.mark.parametrize("face", ["-1", "x", "1.5", "99999", "\u0663"])
def test_the_index_of_a_face_is_a_small_whole_number(api, media, face):
    answer = post(api, "/v1/encode", {"image": (media / "photo.png").read_bytes()}, {"face": face})
    assert answer.status_code == 422 and "face" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        codes(dtype="float64"),
        codes((11, 2, 4)),
        codes((12, 2, 4), data=bytes(4)),
        codes((12, 0, 4)),
        codes((12, -1, -4), data=bytes(192)),
        codes((12, 10**9, 10**9), data=bytes(4)),
        codes((12, 1, 1), data=np.full(12, np.nan, "<f4").tobytes()),
        json.dumps({"shape": [12, 1, 1], "codes": "?"}),
        json.dumps({"shape": [12, 1, 1], "codes": "", "more": 1}),
    ],
)
def test_codes_that_are_not_codes_are_refused(api, text):
    answer = post(api, "/v1/render", {"map": png(MAP)}, {"codes": text})
    assert answer.status_code == 422 and answer.json()["error"]["message"].startswith("codes"), answer.text


@pytest.mark.parametrize("image", [np.full((4, 4), 12, np.uint8), np.zeros((4, 4, 3), np.uint8)])
def test_a_map_has_one_channel_and_labels_of_regions(api, image):
    answer = post(api, "/v1/render", {"map": png(image)}, {"codes": codes()})
    assert answer.status_code == 422 and answer.json()["error"]["message"].startswith("map: ")


@pytest.mark.parametrize("path", ["/v1/parse", "/v1/encode", "/v1/render"])
def test_a_picture_is_needed_and_must_be_one(api, path):
    name = "map" if path.endswith("render") else "image"
    bad = post(api, path, {name: b"no picture"})
    assert bad.status_code == 422 and bad.json()["error"]["code"] == "unusable_file"
    missing = post(api, path, {"else": b"x"})
    assert missing.status_code == 422 and missing.json()["error"]["code"] == "unknown_part"
    assert api.left_over() == []


def test_a_picture_has_its_own_limit_of_size(make_api):
    api = make_api(limits=LimitsConfig(picture_mb=0.1))
    answer = post(api, "/v1/parse", {"image": bytes(5_000_000)})
    assert answer.status_code == 413 and api.left_over() == []
    answer = post(api, "/v1/parse", {"image": bytes(100_001)})
    assert answer.status_code == 413 and "the limit is 100 kB of files" in answer.json()["error"]["message"]


def test_when_all_replicas_are_taken_the_caller_is_told_when_to_come_back(api, media):
    api.service.pictures.busy = True
    answer = post(api, "/v1/parse", {"image": (media / "photo.png").read_bytes()})
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "3"
    assert answer.json()["error"]["code"] == "busy"
