"""The render pass on CUDA: the verbs of a dub, adaptation and a whole dub, against the CPU."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from segtalker.audio.source import ArraySource
from segtalker.dub_config import DubConfig, NetworkConfig
from segtalker.local_stages import Compute, LocalStages, load_networks
from segtalker.media.read import read_frames
from segtalker.media.write import EncodeConfig
from segtalker.pipeline import SegTalker
from segtalker.regions import REGION_FROM_RAW, Region
from segtalker.stages import Networks, SpeechWindows
from segtalker.training.adapt import AdaptConfig, adapt
from tests.dubbing import BlobFaces, talking_clip, tiny_weights, write_speech

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("exact_float32")]
SIZE = 32
TIMES = [Fraction(index, 25) for index in range(6)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, str]:
    return {name: str(path) for name, path in tiny_weights(tmp_path_factory.mktemp("weights")).items()}


def on(device: str, weights: dict[str, str]) -> Networks:
    return load_networks(weights["tsg"], weights["sgi"], Compute(torch.device(device)))


def maps() -> NDArray[np.uint8]:
    maps = np.zeros((6, SIZE, SIZE), np.uint8)
    maps[:, 6:28, 6:26] = Region.SKIN
    maps[:, 10:13, 9:23] = Region.EYES
    for index in range(6):
        maps[index, 20 : 22 + index // 2, 12:20] = Region.LIP
    return maps


def crops() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (6, SIZE, SIZE, 3), np.uint8)


def test_speech_draws_the_maps_that_it_draws_on_the_cpu(weights):
    time = np.arange(16000) / 16000
    speech = ArraySource((0.4 * np.sin(2 * np.pi * 150 * time)).astype(np.float32))
    heard = SpeechWindows.read(speech, TIMES)
    drawn = [
        on(device, weights).talker.talk(maps(), np.repeat(maps()[:1], 6, 0), heard)
        for device in ("cpu", "cuda")
    ]
    assert (drawn[0] == drawn[1]).mean() > 0.999  # scores of two classes may be equal but for rounding


def test_a_person_is_painted_as_on_the_cpu(weights):
    cpu, gpu = (on(device, weights).painter for device in ("cpu", "cuda"))
    codes = cpu.encode(crops(), maps())
    assert np.abs(gpu.encode(crops(), maps()) - codes).max() < 1e-3 * np.abs(codes).max()
    painted = [painter.paint(maps(), codes).astype(int) for painter in (cpu, gpu)]
    assert np.abs(painted[0] - painted[1]).max() <= 1


def test_adaptation_begins_as_on_the_cpu_and_paints_on_the_device(weights):
    painter = on("cuda", weights).painter
    skin = np.flatnonzero(REGION_FROM_RAW == Region.SKIN)[0]
    raws = np.full((6, SIZE, SIZE), skin, np.uint8)
    cfg = AdaptConfig(steps=4, warped=0.0)
    losses: dict[str, list[float]] = {"cpu": [], "cuda": []}
    for device, seen in losses.items():
        fit = adapt(painter.sgi, crops(), raws, cfg, lambda _, __, loss, to=seen: to.append(loss), device)
    assert losses["cuda"][0] == pytest.approx(losses["cpu"][0], rel=1e-3)
    assert np.isfinite(losses["cuda"]).all() and len(losses["cuda"]) == 4
    assert painter.adapted(fit).paint(maps(), fit.codes.numpy()).shape == (6, SIZE, SIZE, 3)


def test_a_dub_is_the_one_of_the_cpu(weights, tmp_path: Path):
    clip = talking_clip(tmp_path / "talk.mp4", 10)
    speech = write_speech(tmp_path / "speech.wav", 0.4)
    plain = DubConfig(
        tsg=NetworkConfig(weights=weights["tsg"]),
        sgi=NetworkConfig(weights=weights["sgi"]),
        encode=EncodeConfig(crf=0, preset="ultrafast"),
    )
    pictures = []
    for device in ("cpu", "cuda"):
        output = tmp_path / f"{device}.mp4"
        cfg = replace(plain, device=device)
        segtalker = SegTalker(cfg, LocalStages(cfg, BlobFaces()))
        report = segtalker.dub(clip, speech, output, quiet=True)
        assert report.synthesized == 10
        pictures.append(np.stack([frame.image.astype(int) for frame in read_frames(output)]))
    assert (np.abs(pictures[0] - pictures[1]) <= 1).mean() > 0.999
