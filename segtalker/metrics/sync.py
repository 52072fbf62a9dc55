"""By how many frames sound and picture of a clip are apart, as a lip-sync expert sees it.

Every window of mouths is compared with the speech up to 15 frames earlier and later; the shift that fits best
on average is the offset. Curves of pieces of a clip merge by addition.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from segtalker.audio.speech import TOKEN_RATE
from segtalker.audio.windows import mel_windows, sync_window_start
from segtalker.models.syncnet import SyncNet
from segtalker.regions import one_hot

SHIFTS = 15
"""Frames by which the speech is moved, to either side."""
_BATCH = 16


def _zeros() -> NDArray[np.float64]:
    return np.zeros(2 * SHIFTS + 1)


@dataclass(frozen=True)
class SyncCurve:
    """How well mouths and speech fit at each shift."""

    sums: NDArray[np.float64]
    """[31] how well they fit, summed over windows; entry k is of the speech k - 15 frames later.

    Of our expert log-odds, of SyncNet v2 distances with the sign turned."""
    windows: int
    distances: NDArray[np.float64] = field(default_factory=_zeros)
    """[31] distances of the embeddings of mouths and speech, summed over windows; our expert's are unit
    vectors, so that each is in 0..2."""

    def __add__(self, other: SyncCurve) -> SyncCurve:
        """The curve of both pieces together."""
        return SyncCurve(
            self.sums + other.sums, self.windows + other.windows, self.distances + other.distances
        )

    @property
    def offset(self) -> int:
        """Frames that the fitting speech is later than the mouths; 0 is in sync."""
        return int(np.argmax(self.sums)) - SHIFTS

    @property
    def confidence(self) -> float:
        """How much better the best shift is than the median one: mean of a window, in what `sums` counts."""
        return float((self.sums.max() - np.median(self.sums)) / max(self.windows, 1))

    @property
    def distance(self) -> float:
        """Mean distance at the shift where it is least (as LSE-D is); NaN of nothing."""
        return float(self.distances.min() / self.windows) if self.windows else float("nan")


def no_curve() -> SyncCurve:
    """The curve of nothing: where sums begin."""
    return SyncCurve(_zeros(), 0)


def sync_curve(net: SyncNet, maps: NDArray[np.uint8], mel: NDArray[np.floating], most: int = 64) -> SyncCurve:
    """The curve of region maps [T, S, S] at 25 fps with the mel spectrogram [M, 80] that begins with them.

    most: windows that are looked at, evenly spaced. Windows whose shifted speech would leave the piece are
    left out; a piece that is too short has none.
    """
    inner = inner_windows(len(maps), net.cfg.window)
    if not len(inner):
        return no_curve()
    chosen = np.linspace(inner[0], inner[-1], min(most, len(inner))).round().astype(np.int64)
    return curve_of_windows(net, maps, np.unique(chosen), mel)


def inner_windows(frames: int, length: int) -> range:
    """First frames of the windows of `length` frames whose speech stays inside the clip at every shift."""
    return range(SHIFTS, max(SHIFTS, frames - length + 1 - SHIFTS))


def curve_of_windows(
    net: SyncNet,
    maps: NDArray[np.uint8],
    starts: NDArray[np.int64],
    mel: NDArray[np.floating],
    first: int = 0,
    first_step: int = 0,
) -> SyncCurve:
    """The curve of the windows that begin at frames `starts` of a clip; those of its parts add up.

    maps: region maps [T, S, S] of the clip from frame `first` on, which hold the windows. mel: [M, 80], the
    clip's spectrogram from step `first_step` on; steps outside it count as silence.
    """
    if not len(starts):
        return no_curve()
    return curve_of_mouths(net, mouths_of_windows(net, maps, starts, first), starts, mel, first_step)


@torch.inference_mode()
def mouths_of_windows(
    net: SyncNet, maps: NDArray[np.uint8], starts: NDArray[np.int64], first: int = 0
) -> torch.Tensor:
    """What the network sees in the windows, unit vectors [N, D]; see `curve_of_windows`."""
    device, found = next(net.parameters()).device, []
    for part in np.array_split(starts, -(-len(starts) // _BATCH)):
        frames = part[:, None] + np.arange(net.cfg.window) - first
        masks = net.pool_masks(torch.from_numpy(one_hot(maps[frames])).to(device))
        found.append(F.normalize(net.embed_masks(masks).float()))
    return torch.cat(found)


@torch.inference_mode()
def curve_of_mouths(
    net: SyncNet,
    mouths: torch.Tensor,
    starts: NDArray[np.int64],
    mel: NDArray[np.floating],
    first_step: int = 0,
) -> SyncCurve:
    """The curve of windows whose `mouths_of_windows` are known; see `curve_of_windows`."""
    length, device = net.cfg.window, next(net.parameters()).device
    spoken = np.unique(starts[:, None] + np.arange(-SHIFTS, SHIFTS + 1))
    steps = [sync_window_start(Fraction(int(frame), TOKEN_RATE), length) - first_step for frame in spoken]
    speech = torch.from_numpy(mel_windows(mel, steps))[:, None].to(device)
    heard = F.normalize(torch.cat([net.embed_mel(part) for part in speech.split(4 * _BATCH)]).float())
    sums, distances = _zeros(), _zeros()
    for k in range(2 * SHIFTS + 1):
        shifted = np.searchsorted(spoken, starts + k - SHIFTS)
        cosines = (mouths * heard[shifted]).sum(dim=1)
        sums[k] = float(net.scale_cosine(cosines).sum())
        distances[k] = float((2 - 2 * cosines).clamp_min(0).sqrt().sum())
    return SyncCurve(sums, len(starts), distances)
