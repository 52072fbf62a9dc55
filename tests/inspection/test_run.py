"""`segtalker inspect`: a folder of pictures of what is seen, with small random networks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from segtalker.cli import main
from segtalker.dub_config import DubConfig
from segtalker.errors import ConfigError, FaceNotFound, StorageError
from segtalker.inspection.codes import Codes, region_map, same_region_elsewhere, speaker_maps
from segtalker.inspection.look import Amount, Seen, look, spread
from segtalker.inspection.run import inspect
from segtalker.inspection.sheet import SIDE, contact_sheet, legend
from segtalker.local_stages import LocalStages
from segtalker.media.read import probe
from segtalker.progress import Progress, ignore_progress
from segtalker.regions import REGION_COLOURS, Region
from tests.dubbing import BlobFaces, blank_frame, talking_frame, write_clip
from tests.test_pipeline import tiny  # noqa: F401  the fixture

AMOUNT = Amount(frames=3, samples=4)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Ten frames of a face, then four without."""
    frames = [talking_frame(index) for index in range(10)] + [blank_frame()] * 4
    return write_clip(tmp_path_factory.mktemp("clip") / "talk.mp4", frames)


@pytest.fixture(scope="module")
def stages(tiny) -> LocalStages:  # noqa: F811
    return LocalStages(tiny, BlobFaces())


@pytest.fixture(scope="module")
def seen(tiny, clip, stages) -> Seen:  # noqa: F811
    return look(tiny, probe(clip), "talk", stages, AMOUNT, ignore_progress)


def test_frames_are_spread_over_the_video_and_those_without_a_face_say_why(seen):
    assert [frame.planned.index for frame in seen.frames] == [2, 7, 11]
    assert [frame.seen is not None for frame in seen.frames] == [True, True, False]
    assert seen.frames[2].planned.reason.value == "no_face"
    assert seen.counts == {"synthesized": 10, "no_face": 4} and seen.num_tracks == 1
    assert seen.codes.shape[:2] == (4, len(Region)) and seen.shown.shape == (4, len(Region))
    assert seen.shown[:, Region.SKIN].all() and not seen.shown[:, Region.EAR_RINGS].any()


def test_codes_and_pictures_are_those_that_the_networks_make_of_the_frame(seen, stages):
    painter, shown = stages.networks.painter, seen.frames[0].seen
    parsed, crop = shown.face.parsed, shown.face.crop
    codes = painter.encode(crop.image[None], parsed.region_map[None])
    assert np.array_equal(shown.codes, codes)
    assert np.array_equal(shown.repainted, painter.paint(parsed.region_map[None], codes)[0])


def test_the_beginning_alone_can_be_looked_at(tiny, clip, stages):  # noqa: F811
    amount = replace(AMOUNT, seconds=0.2)
    short = look(tiny, probe(clip), "talk", stages, amount, ignore_progress)
    assert sum(short.counts.values()) == 5 and short.frames[-1].planned.index == 4


def test_a_sheet_has_a_row_a_frame_in_the_colours_of_the_legend(seen):
    sheet = contact_sheet(seen)
    height, width = sheet.shape[:2]
    assert height > 3 * SIDE + 40 and width > 6 * SIDE
    used = {tuple(colour) for colour in sheet.reshape(-1, 3).tolist()}
    assert {tuple(REGION_COLOURS[r].tolist()) for r in (Region.SKIN, Region.HAIR, Region.LIP)} <= used
    drawn = {tuple(colour) for colour in legend(200).reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in REGION_COLOURS.tolist()} <= drawn
    assert len(legend(200)) > len(legend(2000))


def test_the_maps_of_codes_name_every_code_and_every_speaker(seen):
    codes = Codes.of([seen, replace(seen, name="other <b>", codes=seen.codes + 0.1)])
    assert len(codes.values) == 2 * seen.shown.sum()
    told: list[Progress] = []
    drawn = region_map(codes, told.append)
    assert drawn.count("<circle") == len(codes.values) + len(np.unique(codes.regions))
    assert "talk, skin, 0.04 s" in drawn and told[-1].done == told[-1].total
    speakers = speaker_maps(codes, ignore_progress)
    assert speakers is not None and "other &lt;b&gt;" in speakers and "<b>" not in speakers
    assert same_region_elsewhere(codes) == 1.0


def test_there_is_no_map_by_speaker_of_one_speaker_and_codes_are_thinned_evenly(seen):
    assert speaker_maps(Codes.of([seen]), ignore_progress) is None
    half = Codes.of([seen], most=int(seen.shown.sum()) // 2)
    assert sorted(set(half.times)) == [seen.times[0], seen.times[2]]


def test_what_a_figure_of_neighbours_says_is_true():
    values = np.array([[0.0], [0.1], [5.0], [5.1]], np.float32)
    swapped = Codes(values, np.array([1, 4, 4, 1]), np.array([0, 1, 0, 1]), (0,) * 4, ("a", "b"))
    assert same_region_elsewhere(swapped) == 0.0
    assert same_region_elsewhere(replace(swapped, regions=np.array([1, 1, 4, 1]))) == 0.5
    assert same_region_elsewhere(replace(swapped, speakers=np.zeros(4, int))) is None


@pytest.mark.parametrize(("indices", "count", "chosen"), [(range(9), 3, [1, 4, 7]), ([5, 8], 4, [5, 8])])
def test_frames_are_the_middles_of_equal_parts(indices, count, chosen):
    assert spread(np.array(indices), count) == chosen
    assert spread(np.array([], int), 3) == []


def test_a_folder_holds_a_page_sheets_and_maps_and_says_what_could_not_be_seen(
    tiny,  # noqa: F811
    clip,
    stages,
    tmp_path,
):
    photo, blank = tmp_path / "talk.png", tmp_path / "blank.png"
    cv2.imwrite(str(photo), cv2.cvtColor(talking_frame(3, (240, 200), height=110), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(blank), blank_frame())
    out = tmp_path / "seen"
    said = inspect(tiny, [clip, photo, blank], out, AMOUNT, stages, quiet=True)
    assert said == f"page: {out / 'index.html'} (2 of 3 videos)"
    files = {path.name for path in out.iterdir()}
    assert files == {"index.html", "talk.png", "talk-2.png", "regions.svg", "speakers.svg"}
    page = (out / "index.html").read_text()
    assert "blank.png: no face was found" in page and 'src="talk-2.png"' in page


def test_what_cannot_be_looked_at_is_refused_before_any_work(tiny, clip, tmp_path, capsys):  # noqa: F811
    def refused(videos: list[Path], out: Path, cfg: DubConfig = tiny) -> None:
        inspect(cfg, videos, out, AMOUNT, LocalStages(cfg, BlobFaces()), quiet=True)

    with pytest.raises(ConfigError, match=r"nowhere\.mp4: there is no such video or picture"):
        refused([tmp_path / "nowhere.mp4"], tmp_path / "out")
    with pytest.raises(ConfigError, match="is named twice"):
        refused([clip, clip], tmp_path / "out")
    with pytest.raises(StorageError, match="is a file; give a folder"):
        refused([clip], clip)
    blank = write_clip(tmp_path / "blank.mp4", [blank_frame()] * 3)
    with pytest.raises(FaceNotFound, match=r"blank\.mp4: no face was found"):
        refused([blank], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert main(["inspect", str(clip), "--out", str(tmp_path / "out"), "--frames", "0"]) == 2
    assert "frames and samples must be at least 1" in capsys.readouterr().err
