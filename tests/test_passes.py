"""The passes of a dub in several processes' folders give the segments of a dub in one piece."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from segtalker.analysis import load_analysis
from segtalker.compositing.plan import PlanConfig
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.local_stages import LocalStages
from segtalker.media.read import probe, read_frames
from segtalker.media.write import EncodeConfig
from segtalker.passes import Passes
from segtalker.pipeline import SegTalker
from segtalker.workspace import Workspace
from tests.dubbing import BlobFaces, talking_clip, tiny_weights, write_speech


@pytest.fixture(scope="module")
def cfg(tmp_path_factory) -> DubConfig:
    weights = tiny_weights(tmp_path_factory.mktemp("weights"))
    return DubConfig(
        tsg=NetworkConfig(weights=str(weights["tsg"])),
        sgi=NetworkConfig(weights=str(weights["sgi"])),
        plan=PlanConfig(chunk_frames=4),
        encode=EncodeConfig(crf=0, preset="ultrafast", encoder_threads=1),
        threads=1,
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    return talking_clip(folder / "talk.mp4", 10), write_speech(folder / "speech.wav", 0.4)


def passes(cfg: DubConfig, inputs: tuple[Path, Path], folder: Path) -> Passes:
    """As a process of its own would begin: with networks of its own."""
    video, speech = inputs
    work = Workspace(folder, stays=True)
    return Passes(cfg, LocalStages(cfg, BlobFaces()), probe(video), speech, work)


def frames(path: Path) -> np.ndarray:
    return np.stack([frame.image for frame in read_frames(path)])


def test_chunks_of_a_copied_analysis_are_those_of_the_whole_dub(cfg, inputs, tmp_path):
    whole = SegTalker(cfg, LocalStages(cfg, BlobFaces())).dub(*inputs, tmp_path / "whole.mp4", quiet=True)
    analysed = passes(cfg, inputs, tmp_path / "first")
    chunks = analysed.analyse().plan.chunks()
    assert len(chunks) == 3
    shutil.copytree(tmp_path / "first", tmp_path / "joined")
    for number in (2, 0, 1):
        shutil.copytree(tmp_path / "first", tmp_path / f"copy{number}")
        elsewhere = passes(cfg, inputs, tmp_path / f"copy{number}")
        (segment,), reused = elsewhere.render(elsewhere.analyse(), chunks[number : number + 1])
        assert reused == 0
        (tmp_path / "joined" / "segments").mkdir(exist_ok=True)
        shutil.copy(segment, tmp_path / "joined" / "segments")
    last = passes(cfg, inputs, tmp_path / "joined")
    analysis = last.analyse()
    segments, reused = last.render(analysis)
    assert reused == 3
    report = last.publish(analysis, segments, tmp_path / "split.mp4", "key", reused)
    assert np.array_equal(frames(tmp_path / "split.mp4"), frames(tmp_path / "whole.mp4"))
    assert (report.frames, report.tracks) == (whole.frames, whole.tracks) and report.key == "key"


def test_an_analysis_that_lost_a_file_is_made_again(cfg, inputs, tmp_path):
    first = passes(cfg, inputs, tmp_path / "work")
    made = first.analyse()
    work = Workspace(tmp_path / "work", stays=True)
    known = load_analysis(work, made.info)
    assert known is not None and known.plan == made.plan and set(known.people) == set(made.people)
    (tmp_path / "work" / "people" / "0.npz").unlink()
    assert load_analysis(work, made.info) is None
    again = passes(cfg, inputs, tmp_path / "work").analyse()
    assert np.array_equal(again.people[0].codes, made.people[0].codes)


def test_what_was_lost_of_a_source_is_told_wherever_it_lies(cfg, inputs, tmp_path):
    video = tmp_path / "cut.mp4"
    shutil.copy(talking_clip(tmp_path / "long.mp4", 40), video)
    first = passes(cfg, (video, inputs[1]), tmp_path / "work")
    made = first.analyse()
    (tmp_path / "work" / "losses.json").write_text('["{video}: 2 frames do not decode."]')
    moved = video.rename(tmp_path / "moved.mp4")
    found = load_analysis(Workspace(tmp_path / "work", stays=True), probe(moved))
    assert found is not None and found.losses == (f"{moved}: 2 frames do not decode.",)
    assert made.losses == ()
