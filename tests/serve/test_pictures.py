"""Single pictures go through the stages of a dub."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import cv2
import numpy as np
import pytest

from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.editing.short import read_edits
from segtalker.errors import FaceNotFound, MediaError
from segtalker.faces.align import apply_affine
from segtalker.local_stages import LocalStages
from segtalker.regions import Region
from serve.api.service import Busy
from serve.pictures import StagePictures
from serve.runner import Unavailable
from tests.dubbing import BlobFaces, blank_frame, draw_face, talking_frame, tiny_weights

SIZE = 32


@pytest.fixture(scope="module")
def stages(tmp_path_factory) -> LocalStages:
    weights = tiny_weights(tmp_path_factory.mktemp("weights"))
    networks = {name: NetworkConfig(weights=str(path)) for name, path in weights.items()}
    return LocalStages(DubConfig(**networks, threads=1), BlobFaces())


@pytest.fixture
def pictures(stages) -> StagePictures:
    return StagePictures(stages)


@pytest.fixture(scope="module")
def two_people() -> np.ndarray:
    image = blank_frame((240, 120), 20)
    for x in (180, 60):
        draw_face(image, (x, 60), 70)
    return image


def test_faces_are_told_from_left_to_right_with_their_maps(pictures, two_people):
    left, right = asyncio.run(pictures.parse(two_people))
    assert left.box[0] < left.box[2] <= right.box[0] < right.box[2] <= 240
    for face, x in ((left, 60), (right, 180)):
        assert face.region_map.shape == (SIZE, SIZE) and face.region_map.dtype == np.uint8
        assert {Region.SKIN, Region.LIP, Region.EYES} <= set(face.region_map.flat)
        assert 0.5 < face.score <= 1 and abs(face.yaw_deg) < 20
        centre = apply_affine(face.crop_from_frame, np.array([[x, 60.0]]))[0]
        assert np.abs(centre - SIZE / 2).max() < SIZE / 4  # in pixels of the crop


def test_a_picture_without_a_face_has_none(pictures):
    assert asyncio.run(pictures.parse(blank_frame())) == []


def test_codes_of_a_face_render_its_map(pictures, stages, two_people):
    async def there_and_back() -> tuple[np.ndarray, np.ndarray]:
        _, face = await pictures.parse(two_people)
        codes = await pictures.encode(two_people, 1)
        return await pictures.render(face.region_map, codes), codes

    crop, codes = asyncio.run(there_and_back())
    assert crop.shape == (SIZE, SIZE, 3) and crop.dtype == np.uint8 and crop.std() > 0
    assert codes.shape[0] == 12 and codes.dtype == np.float32


def test_a_face_that_is_not_there_is_refused(pictures, two_people):
    with pytest.raises(FaceNotFound, match="There is no face 2 in the picture, which shows 2"):
        asyncio.run(pictures.encode(two_people, 2))


def test_maps_and_codes_of_another_size_are_refused(pictures):
    async def refused(side: int, *shape: int) -> str:
        with pytest.raises(MediaError) as caught:
            await pictures.render(np.zeros((side, side), np.uint8), np.zeros(shape, np.float32))
        return str(caught.value)

    codes = asyncio.run(pictures.encode(talking_frame(0), 0)).shape
    assert "16 x 16; this service renders 32 x 32" in asyncio.run(refused(16, *codes))
    told = asyncio.run(refused(SIZE, 12, 2, 4))
    assert "12 x 2 x 4" in told and " x ".join(map(str, codes)) in told


class SlowFaces(BlobFaces):
    """Looks at nothing before `go`."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.go = threading.Semaphore(0), threading.Event()

    def detect(self, image, thorough=True):
        self.started.release()
        assert self.go.wait(30)
        return []


def test_one_picture_too_many_is_told_to_come_back_and_places_are_freed(stages):
    faces = SlowFaces()
    pictures = StagePictures(LocalStages(stages._cfg, faces), at_once=2)

    async def crowd() -> None:
        first = [asyncio.create_task(pictures.parse(blank_frame())) for _ in range(2)]
        await asyncio.to_thread(lambda: [faces.started.acquire(timeout=30) for _ in first])
        with pytest.raises(Busy):
            await pictures.parse(blank_frame())
        faces.go.set()
        assert await asyncio.gather(*first) == [[], []]
        assert await pictures.parse(blank_frame()) == []

    asyncio.run(crowd())


def test_a_caller_who_goes_away_keeps_the_place_until_the_work_has_ended(stages):
    faces = SlowFaces()
    pictures = StagePictures(LocalStages(stages._cfg, faces), at_once=1)

    async def go_away() -> None:
        gone = asyncio.create_task(pictures.parse(blank_frame()))
        await asyncio.to_thread(faces.started.acquire, timeout=30)
        gone.cancel()
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):  # else pictures of callers who went away would pile up
            await pictures.parse(blank_frame())
        faces.go.set()
        with pytest.raises(asyncio.CancelledError):
            await gone
        assert await pictures.parse(blank_frame()) == []

    asyncio.run(go_away())


def test_a_stage_that_is_away_is_told_as_busy(stages):
    class AwayFaces(BlobFaces):
        def detect(self, image, thorough=True):
            raise Unavailable("Faces has not answered for 20 s (TimeoutError).")

    with pytest.raises(Busy, match="Faces has not answered") as caught:
        asyncio.run(StagePictures(LocalStages(stages._cfg, AwayFaces())).parse(blank_frame()))
    assert caught.value.retry_after_s >= 1


def test_a_picture_is_edited_through_the_same_stages(pictures, two_people, tmp_path):
    place = tmp_path / "two.png"
    cv2.imwrite(str(place), cv2.cvtColor(two_people, cv2.COLOR_RGB2BGR))
    cfg = replace(DubConfig(), edits=read_edits(["skin=blue@0.8:0-1,blink=0.2/s"]), speaker="index:1")
    edited = asyncio.run(pictures.edit(cfg, place))
    changed = np.abs(edited.image.astype(int) - two_people).max(-1)
    assert changed[:, 120:].max() > 20 and changed[:, :110].max() == 0, "the right one of two"
    assert edited.region_map.shape == (SIZE, SIZE) and Region.SKIN in edited.region_map
    centre = apply_affine(edited.crop_from_frame, np.array([[180, 60.0]]))[0]
    assert np.abs(centre - SIZE / 2).max() < SIZE / 4


def test_a_closed_eye_shows_in_the_map_of_an_edited_picture(pictures, two_people, tmp_path):
    place = tmp_path / "two.png"
    cv2.imwrite(str(place), cv2.cvtColor(two_people, cv2.COLOR_RGB2BGR))
    open_, closed = (
        asyncio.run(pictures.edit(replace(DubConfig(), edits=read_edits([text])), place)).region_map
        for text in ("frown=0", "close_eyes")
    )
    assert Region.EYES in open_ and Region.EYES not in closed
