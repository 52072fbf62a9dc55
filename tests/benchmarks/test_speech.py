"""The speech of a prepared clip is found where it came from, or not at all."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmarks import _speech
from benchmarks._speech import speech_of
from segtalker.audio.mel import mel_spectrogram
from segtalker.config import to_yaml
from segtalker.data.shards import Sample, ShardReader, ShardWriter
from segtalker.errors import DataError, MediaError
from segtalker.synthetic.plan import SynthConfig, plan_corpus
from segtalker.synthetic.speech import Utterance
from tests.conftest import write_wav
from tests.training.tiny import tiny_clip

FRAMES = 30
RATE = 16000


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    """Such as a file of 16 bits holds exactly."""
    steps = np.random.default_rng(seed).normal(0, 3000, round(seconds * RATE)).round()
    return (steps / 32768).astype(np.float32)


def write(samples: np.ndarray, path: Path) -> Path:
    return write_wav(path, (samples * 32768).astype(np.int16), RATE)


def reader_of(sample: Sample, folder: Path) -> ShardReader:
    with ShardWriter(folder) as writer:
        writer.add(sample)
    return ShardReader(folder)


def piece(source: object, samples: np.ndarray, first: int) -> Sample:
    """Frames `first`.. of a clip that begins half a second into its video."""
    told = {"source": str(source), "start": "1/2", "frames": [first, first + FRAMES]}
    start = 8000 + first * 640
    mel = mel_spectrogram(samples[start : start + FRAMES * 640])
    return dataclasses.replace(tiny_clip(0, FRAMES, 16, "val"), mel=mel, provenance=told)


@pytest.mark.parametrize("first", [0, 10])
def test_the_piece_of_the_video_is_heard(first: int, tmp_path: Path):
    samples = noise(3.0)
    path = write(samples, tmp_path / "talk.wav")
    for source in (path, f"file://{path}"):
        reader = reader_of(piece(source, samples, first), tmp_path / str(len(str(source))))
        found = speech_of(reader, 0)
        start = 8000 + first * 640
        np.testing.assert_array_equal(found, samples[start : start + FRAMES * 640])


def test_another_speech_than_the_clips_is_refused(tmp_path: Path):
    path = write(noise(3.0), tmp_path / "talk.wav")
    reader = reader_of(piece(path, noise(3.0, seed=1), 0), tmp_path / "shards")
    with pytest.raises(DataError, match="clip 'clip0': another speech than it was prepared with"):
        speech_of(reader, 0)


def test_a_video_that_has_gone_is_named(tmp_path: Path):
    reader = reader_of(piece(tmp_path / "gone.mp4", noise(3.0), 0), tmp_path / "shards")
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        speech_of(reader, 0)


def test_a_clip_of_unknown_origin_has_no_speech(tmp_path: Path):
    reader = reader_of(tiny_clip(0, FRAMES, 16, "val"), tmp_path / "corpus" / "part")
    with pytest.raises(DataError, match=r"neither its video is known nor a .*corpus\.yaml that made it"):
        speech_of(reader, 0)


def test_a_synthetic_clip_is_said_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cfg = SynthConfig(preset="faces", identities=12, splits=("val",))
    (plan,) = plan_corpus(cfg)
    samples = noise(FRAMES / 25)
    sample = dataclasses.replace(
        tiny_clip(0, FRAMES, 16, "val"), key=plan.key, mel=mel_spectrogram(samples), provenance={}
    )
    reader_of(sample, tmp_path / "val-0000")
    (tmp_path / "corpus.yaml").write_text(to_yaml(cfg))
    spoken: list[object] = []

    def say(*asked: object) -> Utterance:
        spoken.append(asked)
        return Utterance(samples, (), "voice", "engine", "text")

    monkeypatch.setattr(_speech, "say", say)
    np.testing.assert_array_equal(speech_of(ShardReader(tmp_path), 0), samples)
    assert spoken == [(cfg, plan)]
    (tmp_path / "corpus.yaml").write_text(to_yaml(dataclasses.replace(cfg, splits=("train",))))
    with pytest.raises(DataError, match=f"'{plan.key}': is none of those that"):
        speech_of(ShardReader(tmp_path), 0)
