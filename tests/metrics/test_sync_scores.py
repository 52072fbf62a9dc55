"""Sync-C and Sync-D of SyncNet v2 against the published procedure, window by window."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from segtalker.audio.mfcc import mfcc
from segtalker.audio.source import ArraySource
from segtalker.metrics import sync_scores
from segtalker.metrics.sync import SyncCurve, no_curve
from segtalker.metrics.sync_scores import (
    SyncScores,
    face_curve_of_windows,
    face_sync_curve,
    num_face_windows,
)
from segtalker.models.frozen.syncnet_v2 import SyncNetV2, SyncNetV2Config

FRAMES = 60


class Listener(torch.nn.Module):
    """In place of SyncNet v2: faces and speech are the number that their first frame or step says."""

    def __init__(self) -> None:
        super().__init__()
        self.zero = torch.nn.Parameter(torch.zeros(1))

    def embed_faces(self, windows):
        return self._vector(windows[:, 0, 0, 0, 0])

    def embed_speech(self, coefficients):
        return self._vector(coefficients[:, 0, 0, 0])

    def _vector(self, number):
        return torch.stack([10 * torch.cos(0.1 * number), 10 * torch.sin(0.1 * number)], dim=1)


def clip(shift: int, monkeypatch: pytest.MonkeyPatch) -> tuple[np.ndarray, np.ndarray]:
    """Small frames that show a number each, and speech that says it `shift` frames later."""
    numbers = np.random.default_rng(0).integers(0, 30, FRAMES).astype(np.uint8)
    steps = np.roll(numbers, shift).repeat(4)[:, None] * np.ones((1, 13), np.float32)
    monkeypatch.setattr(sync_scores, "mfcc_steps", lambda speech, start, stop: steps[start:stop])
    frames = numbers[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    return frames, np.zeros(FRAMES * 640, np.float32)


@pytest.mark.parametrize("shift", [-12, 0, 3])
def test_the_offset_is_how_much_later_the_speech_is(shift: int, monkeypatch):
    curve = face_sync_curve(cast(SyncNetV2, Listener()), *clip(shift, monkeypatch))
    assert curve.offset == shift and curve.windows == FRAMES - 5
    lost = abs(shift) * 10 / curve.windows  # windows whose speech is beyond an end meet a zero vector
    assert curve.distance == pytest.approx(lost, abs=0.3) and curve.confidence > 2


def test_figures_are_those_of_the_published_procedure():
    torch.manual_seed(0)
    net = SyncNetV2(SyncNetV2Config(divisor=32)).eval()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (25, 224, 224, 3), dtype=np.uint8)
    samples = rng.normal(scale=0.1, size=24 * 640 + 600).astype(np.float32)
    curve = face_sync_curve(net, frames, samples)

    coefficients = torch.from_numpy(mfcc(samples))
    seen, heard = [], []
    with torch.no_grad():
        for f in range(24 - 5):
            window = torch.from_numpy(frames[f : f + 5, :, :, ::-1].copy()).permute(3, 0, 1, 2)[None].float()
            seen.append(net.embed_faces(window)[0].double().numpy())
            speech = coefficients[4 * f : 4 * f + 20].T[None, None]
            heard.append(net.embed_speech(speech)[0].double().numpy())
    zeros = [np.zeros_like(heard[0])] * 15
    padded = [*zeros, *heard, *zeros]
    means = [np.mean([np.linalg.norm(seen[f] - padded[f + k]) for f in range(19)]) for k in range(31)]
    assert curve.windows == 19 and np.ptp(means) > 0.01
    assert curve.distance == pytest.approx(min(means), rel=1e-4)
    assert curve.confidence == pytest.approx(np.median(means) - min(means), rel=1e-3)
    assert curve.offset == int(np.argmin(means)) - 15


def test_parts_of_a_clip_that_are_read_apart_add_up_to_the_whole():
    torch.manual_seed(0)
    net = SyncNetV2(SyncNetV2Config(divisor=32)).eval()
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (26, 224, 224, 3), dtype=np.uint8)
    speech = ArraySource(rng.normal(scale=0.1, size=26 * 640).astype(np.float32))
    count = num_face_windows(26, speech.num_samples)
    starts = np.arange(count)
    whole = face_curve_of_windows(net, frames, starts, speech, count)
    first = face_curve_of_windows(net, frames[:12], starts[:8], speech, count)
    second = face_curve_of_windows(net, frames[8:], starts[8:], speech, count, first=8)
    assert (first + second).windows == whole.windows == 21
    assert (first + second).distances == pytest.approx(whole.distances, rel=1e-6)


def test_clips_count_alike_however_long_they_are():
    short, long = (SyncCurve(-np.arange(31.0) * n, n, np.arange(1, 32.0) * n * n) for n in (1, 3))
    both = SyncScores.of(short) + SyncScores.of(no_curve()) + SyncScores.of(long)
    assert (both.confidence.value, both.confidence.count) == (15.0, 2)
    assert both.distance.value == (1 + 3) / 2


@pytest.mark.parametrize(("frames", "samples"), [(5, 6400), (40, 3839), (0, 0)])
def test_a_clip_without_a_whole_window_says_nothing(frames: int, samples: int):
    shown = np.zeros((frames, 4, 4, 3), np.uint8)
    assert face_sync_curve(cast(SyncNetV2, Listener()), shown, np.zeros(samples, np.float32)).windows == 0
    assert np.isnan(SyncScores.of(no_curve()).confidence.value)


def test_one_window_is_enough():
    shown = np.zeros((6, 4, 4, 3), np.uint8)
    assert face_sync_curve(cast(SyncNetV2, Listener()), shown, np.zeros(3840, np.float32)).windows == 1
