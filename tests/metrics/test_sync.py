"""The best shift of a curve is by how many frames sound and picture are apart."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from segtalker.metrics.sync import (
    SHIFTS,
    SyncCurve,
    curve_of_windows,
    inner_windows,
    no_curve,
    sync_curve,
)
from segtalker.models.syncnet import SyncNet
from segtalker.regions import Region

FRAMES = 60


class Listener(torch.nn.Module):
    """In place of SyncNet: mouths and sound are what their first frame and step say, as a direction."""

    def __init__(self) -> None:
        super().__init__()
        self.cfg = type("Config", (), {"window": 5})
        self.zero = torch.nn.Parameter(torch.zeros(1))

    def pool_masks(self, onehot):
        return onehot[:, 0, Region.MOUTH, 0].argmax(dim=1)

    def embed_masks(self, angle):
        return torch.stack([torch.cos(0.1 * angle), torch.sin(0.1 * angle)], dim=1)

    def embed_mel(self, mel):
        return self.embed_masks(mel[:, 0, 0, 0])

    def scale_cosine(self, cosine):
        return 10 * cosine


def clip(shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps whose first row shows a number, and mel that says it `shift` frames later."""
    numbers = np.random.default_rng(0).integers(0, 30, FRAMES)
    maps = np.zeros((FRAMES, 4, 32), np.uint8)
    maps[np.arange(FRAMES), 0, numbers] = Region.MOUTH
    said = np.roll(numbers, shift)
    frame_of_step = np.minimum(-(-np.arange(FRAMES * 16 // 5) * 5 // 16), FRAMES - 1)
    mel = said[frame_of_step][:, None] * np.ones((1, 80))
    return maps, mel.astype(np.float32)


@pytest.mark.parametrize("shift", [-12, -1, 0, 3, 15])
def test_the_offset_is_how_much_later_the_speech_is(shift: int):
    curve = sync_curve(cast(SyncNet, Listener()), *clip(shift))
    assert curve.offset == shift and curve.confidence > 1 and curve.windows == FRAMES - 4 - 2 * SHIFTS


def test_only_so_many_windows_are_looked_at():
    assert sync_curve(cast(SyncNet, Listener()), *clip(2), most=10).windows == 10


def test_curves_of_pieces_add_up():
    one = SyncCurve(np.eye(31)[18], 2)
    both = one + SyncCurve(np.eye(31)[18] * 2, 1)
    assert (both.offset, both.windows, both.confidence) == (3, 3, 1.0)
    assert (no_curve() + one).offset == 3


def test_parts_of_a_clip_that_are_read_apart_add_up_to_the_whole():
    maps, mel = clip(4)
    net, starts = cast(SyncNet, Listener()), np.array(inner_windows(FRAMES, 5))
    whole = curve_of_windows(net, maps, starts, mel)
    first = curve_of_windows(net, maps[:30], starts[starts < 26], mel[:160])
    second = curve_of_windows(net, maps[26:], starts[starts >= 26], mel[30:], first=26, first_step=30)
    both = first + second
    assert both.windows == whole.windows == len(starts) and both.offset == 4
    assert both.sums == pytest.approx(whole.sums, rel=1e-6)
    assert both.distances == pytest.approx(whole.distances, rel=1e-6)
    assert curve_of_windows(net, maps, starts[:0], mel).windows == 0


def test_the_distance_is_that_of_unit_vectors_at_the_best_shift():
    maps, mel = clip(0)
    assert sync_curve(cast(SyncNet, Listener()), maps, mel).distance == pytest.approx(0, abs=1e-3)
    turned = sync_curve(cast(SyncNet, Listener()), maps, mel + 5)  # by half a radian
    assert turned.distance == pytest.approx(2 * np.sin(0.25), rel=1e-4) and turned.offset == 0


def test_distances_of_pieces_average_over_their_windows():
    one = SyncCurve(np.zeros(31), 2, np.full(31, 1.0))
    both = one + SyncCurve(np.zeros(31), 1, np.full(31, 2.0))
    assert both.distance == pytest.approx(1.0) and np.isnan(no_curve().distance)


def test_a_piece_that_is_too_short_says_nothing():
    maps, mel = clip(0)
    assert sync_curve(cast(SyncNet, Listener()), maps[:34], mel).windows == 0
