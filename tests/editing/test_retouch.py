"""`segtalker edit`: pictures and videos without speech, with small random networks."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.dub_config import DubConfig
from segtalker.editing.recipe import Edit, at_full
from segtalker.editing.short import read_edits
from segtalker.errors import ConfigError, StorageError
from segtalker.local_stages import LocalStages
from segtalker.media.read import probe
from segtalker.retouch import edit
from tests.dubbing import BlobFaces, talking_clip, talking_frame
from tests.test_pipeline import images, tiny  # noqa: F401  the fixture


def retouch(cfg: DubConfig, source: Path, output: Path, *texts: str) -> str:
    return edit(
        replace(cfg, edits=read_edits(texts)), source, output, LocalStages(cfg, BlobFaces()), quiet=True
    )


@pytest.fixture
def photo(tmp_path) -> Path:
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), cv2.cvtColor(talking_frame(0, (240, 200), height=110), cv2.COLOR_RGB2BGR))
    return path


def test_a_picture_is_edited_in_its_region_at_its_own_size(tiny, photo, tmp_path):  # noqa: F811
    said = retouch(tiny, photo, tmp_path / "out.png", "skin=blue@0.5:0-1,blink=0.2/s")
    assert said == f"picture: {tmp_path / 'out.png'}"
    before, after = (cv2.imread(str(path)).astype(int) for path in (photo, tmp_path / "out.png"))
    changed = np.abs(after - before).max(-1)
    assert changed.max() > 20 and changed[:10].max() == 0 and changed[:, :20].max() == 0


def test_a_video_keeps_its_length_and_what_is_not_edited(tiny, tmp_path):  # noqa: F811
    clip = talking_clip(tmp_path / "talk.mp4", 8)
    said = retouch(tiny, clip, tmp_path / "out.mp4", "skin=blue:0.16-0.24")
    assert "8 dubbed" in said and "silent" not in said
    info = probe(tmp_path / "out.mp4")
    assert (info.num_frames, info.frame_rate) == (8, Fraction(25))
    changed = np.abs(images(clip).astype(int) - images(tmp_path / "out.mp4")).max(-1).max((1, 2))
    assert changed[5] > 20 + changed[[0, 1, 2, 7]].max()


def test_what_cannot_be_edited_is_refused(tiny, photo, tmp_path):  # noqa: F811
    with pytest.raises(ConfigError, match="nothing to do: name edits"):
        retouch(tiny, photo, tmp_path / "out.png")
    with pytest.raises(StorageError, match="give a name such as out.png"):
        retouch(tiny, photo, tmp_path / "out.mp4", "skin=blue")
    with pytest.raises(StorageError, match="is the picture that is edited"):
        retouch(tiny, photo, photo, "skin=blue")


def test_a_still_shows_edits_at_their_strongest_and_no_blink():
    recipe = (
        Edit(edit="blink"),
        Edit(edit="frown", amount=0.3, span=(0.0, 1.0)),
        Edit(edit="frown", amount=0.8, span=(1.0, 2.0)),
        Edit(edit="raise_brows", keyframes=((0.0, 0.2), (1.0, -0.7))),
    )
    assert at_full(recipe) == (Edit(edit="frown", amount=0.8), Edit(edit="raise_brows", amount=-0.7))
